"""The base of all sections of a spec."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_serializer


class Section(BaseModel):
    """Base of all sections: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    @model_serializer(mode="wrap")
    def _leave_out_none(self, handler: Any) -> dict[str, Any]:
        """Leave out what is not set: TOML has no null, and what is left out is what is read back."""
        return {key: value for key, value in handler(self).items() if value is not None}
