"""The processor of an image-text model, also where the package that some of them want for videos is missing."""

from typing import Any

from ragkit.errors import InputError, MissingPackageError


def load_processor(path: str, revision: str | None, model: str) -> Any:
    """Return the processor of a model.

    Processors of models that also see videos want torchvision, which fits one build of torch only. Pictures do without:
    where it is missing, the processor is put together from the same files, but for its part for videos.

    Args:
        path: folder or hub id.
        revision: of a hub model.
        model: the model's name, for messages.

    Raises:
        InputError: the model has no processor for pictures and text.
        MissingPackageError: the processor needs another package.
    """
    from transformers import AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(path, revision=revision)
    except (ImportError, AttributeError) as error:
        # Without torchvision transformers' list of video processors is a stand-in, in which looking something up fails.
        if "orchvision" not in str(error) and "VIDEO_PROCESSOR_MAPPING" not in str(error):
            raise _missing(model, error) from error
        processor = _without_videos(path, revision, model)
    if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
        raise InputError(f"'{model}' has no processor for pictures and text: use provider transformers")
    return processor


class _NoVideos:
    """What stands where the part for videos would be; some processors ask it for its settings before every prompt."""

    num_frames = 1
    fps = 1
    merge_size = 1
    model_input_names: tuple[str, ...] = ()


def _without_videos(path: str, revision: str | None, model: str) -> Any:
    from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    kind = PROCESSOR_MAPPING[type(AutoConfig.from_pretrained(path, revision=revision))]

    class PicturesOnly(kind):  # type: ignore[misc, valid-type]
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if argument_name == "video_processor":
                return _NoVideos
            return super().check_argument_for_proper_class(argument_name, argument)

    settings, _ = kind.get_processor_dict(path, revision=revision)
    kept = {name: settings[name] for name in ("chat_template", "image_seq_len") if settings.get(name) is not None}
    tokenizer = AutoTokenizer.from_pretrained(path, revision=revision)
    kept.setdefault("chat_template", tokenizer.chat_template)
    try:
        return PicturesOnly(
            image_processor=AutoImageProcessor.from_pretrained(path, revision=revision),
            tokenizer=tokenizer,
            video_processor=_NoVideos(),
            **kept,
        )
    except ImportError as error:
        raise _missing(model, error) from error


def _missing(model: str, error: Exception) -> MissingPackageError:
    return MissingPackageError(
        f"the processor of '{model}' needs another package: {' '.join(str(error).split())[:300]}"
    )
