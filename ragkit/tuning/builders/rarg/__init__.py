"""RARG's training data: responses to imitate, prompts that rewards judge, and pairs of a better and a worse draft."""

from ragkit.tuning.builders.rarg.drafts import RargPreferences, RargPrompts
from ragkit.tuning.builders.rarg.responses import RargResponses

__all__ = ["RargPreferences", "RargPrompts", "RargResponses"]
