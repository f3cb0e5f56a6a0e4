"""What a YAML file can configure: typed, frozen, and strict about keys."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from ragkit.engine.registry import Registry


class Component(BaseModel):
    """Base of stages, models and indexes: the constructor only stores typed settings.

    Settings are declared as fields, so the YAML keys, the JSON Schema and the documentation follow from them.
    Loading anything heavy belongs into a method that the engine calls later. Two components are equal only if
    they are the same object, because a loaded model is not interchangeable with its twin.

    Raises:
        pydantic.ValidationError: an unknown key or a value of the wrong type.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, populate_by_name=True, protected_namespaces=()
    )

    def __eq__(self, other: Any) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


class Kind(Component):
    """Base of components of several kinds, which YAML files tell apart by the key `type`.

    Attributes:
        kinds: the registry of the kinds.
    """

    kinds: ClassVar[Registry]
