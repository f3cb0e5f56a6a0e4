"""`ragkit schema`: the JSON Schema of pipeline files, for editors."""

import json

from ragkit.cli.console import output


def schema() -> int:
    """Print the JSON Schema of a pipeline file; editors use it for completion and checking."""
    from ragkit.config.schema import pipeline_schema

    output.print(json.dumps(pipeline_schema(), indent=2, ensure_ascii=False), markup=False, soft_wrap=True)
    return 0
