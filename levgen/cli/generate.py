"""`levgen generate`: text from a trained model."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from levgen.errors import LevgenError

if TYPE_CHECKING:
    from levgen.runtime.generation import Generated, Sampling
    from levgen.training.stored_model import StoredModel

DEFAULT_NEW_TOKENS = 64


def generate(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG.yaml|FOLDER", help="The YAML of a run, whose checkpoint is taken, or a Hugging Face folder."
        ),
    ],
    prompt: Annotated[
        list[str] | None, typer.Option(help="The beginning of a text; repeat it for more. By default: a line of stdin.")
    ] = None,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="The most tokens to go on with. By default: 64, or what there is room for."),
    ] = None,
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest token, 1 draws by probability.")] = 0.0,
    top_k: Annotated[int | None, typer.Option(help="Draw from the likeliest K tokens.", show_default=False)] = None,
    top_p: Annotated[float, typer.Option(help="Draw from the fewest tokens that come to this probability.")] = 1.0,
    stop: Annotated[
        list[str] | None, typer.Option(help="A token that ends a text, beside the tokenizer's EOS.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="What is drawn follows from it.")] = 0,
    step: Annotated[
        int | None, typer.Option(help="The run's checkpoint. By default: the newest.", show_default=False)
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a key of the YAML, such as trainer.id=big.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="A JSON object a prompt.")] = False,
) -> None:
    """Go on with a text: all prompts at once, each to its end or to `--max-new-tokens`."""
    prompts = prompt or [_line_of_stdin()]
    from levgen.cli.console import print_note
    from levgen.runtime.generation import Sampling

    sampling = Sampling(temperature, top_k, top_p)
    stored = _stored(source, step, assignments or [])
    generated = _generated(stored, prompts, sampling, max_new_tokens, seed, stop or [])
    print_note(f"the cache of earlier tokens took {generated.cache_bytes:,} bytes")
    decode = stored.tokenizer.fast.decode
    for start, tokens, stopped in zip(prompts, generated.tokens, generated.stopped, strict=True):
        text = decode(tokens, skip_special_tokens=True)
        if json:
            import json as json_module

            print(json_module.dumps({"prompt": start, "text": text, "tokens": tokens, "stopped": stopped}))
        else:
            print(start + text)


def _line_of_stdin() -> str:
    from levgen.cli.console import can_ask

    if can_ask():
        print("prompt: ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline().rstrip("\n")
    if not line:
        raise LevgenError("expected a prompt, got an empty line", 'levgen generate ... --prompt "Once upon a time"')
    return line


def _stored(source: Path, step: int | None, assignments: list[str]) -> "StoredModel":
    if source.is_dir():
        if step is not None or assignments:
            raise LevgenError(f"--step and --set belong to the YAML of a run, and {source} is a folder")
        from levgen.training.project import find_project
        from levgen.training.stored_model import of_folder

        return of_folder(source, find_project(Path.cwd()))
    from levgen.cli.console import print_note
    from levgen.training.placing import one_device
    from levgen.training.setup import prepare_model
    from levgen.training.stored_model import of_run
    from levgen.training.validate import load

    stored, chosen = of_run(prepare_model(load(source, overrides=assignments), placement=one_device()), step)
    print_note(f"the model after {chosen} steps")
    return stored


def _generated(
    stored: "StoredModel",
    prompts: list[str],
    sampling: "Sampling",
    max_new_tokens: int | None,
    seed: int,
    stop: list[str],
) -> "Generated":
    import jax.random as jrandom

    from levgen.runtime.generation import generate as generate_tokens

    tokenizer = stored.tokenizer
    before = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    ids = [[*before, *tokenizer.fast.encode(text, add_special_tokens=False).ids] for text in prompts]
    ends = [] if tokenizer.eos_id is None else [tokenizer.eos_id]
    for token in stop:
        known = tokenizer.fast.token_to_id(token)
        if known is None:
            raise LevgenError(f"--stop {token!r} is no token of the tokenizer", "such as its EOS token")
        ends.append(known)
    room = stored.model.max_length - max(map(len, ids))
    count = max(1, min(DEFAULT_NEW_TOKENS, room)) if max_new_tokens is None else max_new_tokens
    return generate_tokens(
        stored.model, ids, max_new_tokens=count, sampling=sampling, stop_ids=ends, key=jrandom.PRNGKey(seed)
    )
