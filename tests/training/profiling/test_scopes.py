import pytest

from levgen.training.profiling.scopes import Scope, scope_of, scopes


@pytest.mark.parametrize(
    ("op_name", "module", "phase"),
    [
        (
            "jit(run)/jvp(Net)/scan(layer)/while/body/Mlp/Linear/a -> b/dot_general",
            "Net/Mlp/Linear",
            "forward",
        ),
        ("jit(run)/transpose(jvp(Net))/while/body/checkpoint/Mlp/dot_general", "Net/Mlp", "backward"),
        (
            "jit(run)/transpose(jvp(Net))/while/body/checkpoint/rematted_computation/Mlp/dot_general",
            "Net/Mlp",
            "recomputed",
        ),
        ("jit(run)/transpose(jvp(Net))/Mlp/Linear/Net/Mlp/dot_general", "Net/Mlp", "backward"),
        ("jit(run)/Net/jit(_where)/select_n", "Net", "forward"),
        ("jit(run)/jvp(Net)/eval_jaxpr/Mlp/dot_general", "Net/Mlp", "forward"),  # as jax 0.12 writes it
        ("jit(run)/mul", "(no module)", "forward"),
        ("reduce_sum", "(no module)", "forward"),
    ],
)
def test_scope_of(op_name: str, module: str, phase: str) -> None:
    assert scope_of(op_name) == Scope(module, phase)


def test_loops_are_left_out_and_what_they_hold_is_not() -> None:
    hlo = """HloModule jit_run, is_scheduled=true
  %fused.1 = f32[4]{0} fusion(%while_result), kind=kLoop, metadata={op_name="jit(run)/Net/add" stack_frame_id=3}
  %while.2 = (s32[], f32[4]{0}) while(%tuple.1), condition=%c, body=%b, metadata={op_name="jit(run)/Net/while"}
  %call.3 = f32[4]{0} call(%x), to_apply=%f
  ROOT %copy.4 = f32[4]{0} copy(%fused.1)
"""
    assert scopes(hlo) == {"fused.1": Scope("Net", "forward"), "copy.4": Scope("(no module)", "forward")}
