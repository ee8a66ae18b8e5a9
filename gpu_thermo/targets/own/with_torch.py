"""A network given as a PyTorch module; PyTorch is imported where such a network is made."""

from threading import Lock
from typing import Any

import numpy as np

from ...errors import SpecError
from .base import OwnNetwork, Pull, require

PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "mv", "dot", "convolution")
"""PyTorch's operations that multiply by parameters."""


class TorchNetwork(OwnNetwork):
    """A torch.nn.Module, called functionally with the tensors of every replica (torch.func), on the CPU.

    Parameters
    ----------
    module : takes x [B, m] and returns the raw outputs [B, n] (or [B]). Its parameters that require a gradient are
        sampled, from their present values on; others and its buffers are constants. What comes before the first dot of
        a name is a partition. The module itself is not changed; put it into the mode it is to be used in: eval().
    label : name in reports.
    """

    library = "torch"

    def __init__(self, module: Any, *, label: str | None = None) -> None:
        torch = require("torch", "A network in PyTorch")
        if not isinstance(module, torch.nn.Module):
            raise SpecError(f"{type(module).__name__} is no torch.nn.Module.")
        self._torch, self._module = torch, module
        sampled = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self._names = tuple(sampled)
        start = {tuple(name.split(".")): p.detach().cpu().numpy().copy() for name, p in sampled.items()}
        super().__init__(start, label or type(module).__name__)
        fixed = {n: p for n, p in module.named_parameters() if not p.requires_grad} | dict(module.named_buffers())
        self._lock = Lock()  # a functional call puts tensors into the module for as long as it lasts
        self._fixed = {name: value.detach().cpu().clone() for name, value in fixed.items()}

    def outputs(self, position: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Raw outputs [R, B, n]."""
        with self._torch.no_grad():
            return self._run(self._tensor(position), x).numpy()

    def outputs_and_pull(self, position: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, Pull]:
        """The same, and the pull-back."""
        with self._torch.enable_grad():
            q = self._tensor(position).requires_grad_()
            out = self._run(q, x)

        def pull(d_out: np.ndarray) -> np.ndarray:
            (gradient,) = self._torch.autograd.grad(out, q, self._tensor(d_out))
            return gradient.numpy()

        return out.detach().numpy().copy(), pull

    def units(self, points: int, inputs: int) -> int:
        """Of one evaluation at zeros, watched."""
        from torch.utils._python_dispatch import TorchDispatchMode

        class Watch(TorchDispatchMode):
            count = 0

            def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                """Count what products give."""
                out = call(*args, **(kwargs or {}))
                if call.overloadpacket.__name__ in PRODUCTS:
                    self.count += out.numel()
                return out

        with self._torch.no_grad(), Watch() as watch:
            self._run(self._tensor(np.zeros((1, self.size), np.float32)), np.zeros((points, inputs), np.float32))
        return watch.count

    def _run(self, q: Any, x: np.ndarray) -> Any:
        """Outputs [R, B, n] as a tensor."""
        fixed = {n: v.to(q.dtype) if v.is_floating_point() else v for n, v in self._fixed.items()}

        def one(tensors: list[Any], points: Any) -> Any:
            """Outputs [B, n] of one replica's network."""
            held = dict(zip(self._names, tensors, strict=True)) | fixed
            out = self._torch.func.functional_call(self._module, held, (points,))
            if out.ndim not in (1, 2) or out.shape[0] != points.shape[0]:
                raise SpecError(
                    f"The network returns shape {tuple(out.shape)} for {points.shape[0]} points: return [points,"
                    " outputs]."
                )
            return out.reshape(points.shape[0], -1)

        with self._lock:
            return self._torch.func.vmap(one, in_dims=(0, None if x.ndim == 2 else 0))(self.split(q), self._tensor(x))

    def _tensor(self, array: np.ndarray) -> Any:
        """The array as a tensor that shares its memory where it can."""
        good = array.flags.c_contiguous and array.flags.writeable
        return self._torch.from_numpy(array if good else np.array(array))
