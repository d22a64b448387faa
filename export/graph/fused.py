"""A graph for ONNX Runtime on CUDA: its own operators in place of the chains that each of them computes in one kernel.

Attention, the sum before a layer norm and the bias before an activation are several operators in ONNX, each of which
reads and writes all tokens once more. The file runs on ONNX Runtime alone, so the portable one stays beside it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import onnx
import onnx_ir as ir
from onnxscript.optimizer import fold_constants
from onnxscript.rewriter import pattern, rewrite
from onnxscript.rewriter.ort_fusions._core import fuse_xformers

from export.graph.half import OWN_DOMAIN
from export.graph.to_onnx import tidy

MOST_FOLDED = 1 << 31  # numbers: weights that are laid side by side are laid so here, not in every call
QUICK_GELU = 1.702


def fuse(master: onnx.ModelProto) -> tuple[ir.Model, dict[str, int]]:
    """The float32 graph with ONNX Runtime's operators, and how many there are of each; none where nothing was found.

    The rewriting is onnxscript's (`onnxscript.rewriter.ort_fusions`), but for QuickGELU, which it does not know.
    """
    model, _ = fuse_xformers(ir.from_proto(master))
    rewrite(model, pattern.RewriteRuleSet([_QUICK_GELU_RULE], commute=True))
    fold_constants(model, input_size_limit=MOST_FOLDED, output_size_limit=MOST_FOLDED)
    model = tidy(model)
    found = Counter(node.op_type for node in model.graph.all_nodes() if node.domain == OWN_DOMAIN)
    return model, dict(sorted(found.items()))


def _gate(op: Any, x: Any) -> Any:
    return op.Mul(x, op.Sigmoid(op.Mul(x, QUICK_GELU)))


def _quick_gelu(op: Any, x: Any) -> Any:
    return op.QuickGelu(x, alpha=QUICK_GELU, _domain=OWN_DOMAIN)


_QUICK_GELU_RULE = pattern.RewriteRule(_gate, _quick_gelu)
