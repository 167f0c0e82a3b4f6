"""What is wrong with what was seen of a run: the promises of docs/faults.md for any composition of faults. Pure.

Whatever was composed, P2, P5, P6 and P10 hold: each log ended once and truly, what was shown is a beginning of what
the model said, once and in order, and exactly so much as the end says; the model was asked as often as it may be.
"""

from collections.abc import Iterator
from typing import Final

from services.wire.events import RULES, Code, ConnectionEnd, FinishReason
from tests.faults.composition import Composition, Disaster, Door, Plan, Way
from tests.faults.history import History, Part, Reader
from tests.faults.hop_fault import Bend
from tests.faults.model_faults import Shown

STOPPED_WITHIN_S: Final = 1.0  # P6
SLACK_S: Final = 2.0  # of a busy machine
NO_WORD: Final = "error"  # Ollama's last line says that it failed, not by which code
_GOING: Final = frozenset({Way.LEAVE, Way.RETURN, Way.CANCEL, Way.TWO})
_GONE: Final = frozenset({str(FinishReason.CANCELLED), str(FinishReason.ABANDONED)})
_LOST: Final = str(Code.UPSTREAM_DISCONNECTED)
_PROXY_GONE: Final = frozenset(
    map(str, (Code.SHUTTING_DOWN, Code.UPSTREAM_UNAVAILABLE, Code.UPSTREAM_DISCONNECTED, Code.STREAM_GONE))
)


def complaints(run: Composition, seen: History) -> list[str]:
    """Return what must not be, each in a sentence; nothing where all is well."""
    if seen.failure:
        return [f"the driver failed: {seen.failure}"]
    found = [said for reader in seen.readers for said in _of_reader(run, seen, reader)]
    if seen.streams_are_known:
        found += _of_streams(run, seen)
    if seen.cancelled not in {None, 200, 202} and not breaks_off(run):
        found.append(f"the cancel was answered {seen.cancelled}")
    found += _of_calls(run, seen)
    found += _of_connections(run, seen)
    return list(dict.fromkeys(found))


def breaks_off(run: Composition) -> bool:
    """Whether something between client and proxy may break."""
    return (run.hop is not None and run.hop.breaks) or _is_in_disaster(run)


def ends_in_log(run: Composition, seen: History) -> frozenset[str]:
    """Return the reasons that the log of the run's stream may end with."""
    plan = run.plan
    ends: set[str] = {*run.fault.ends, *_ends_by(plan)}
    if breaks_off(run):
        unknown = not all(reader.numbers for reader in seen.readers) or not seen.readers
        if unknown or plan.way in {Way.LEAVE, Way.CANCEL, Way.WHOLE, Way.OLLAMA}:  # nobody comes back for it
            ends |= _GONE
        if run.hop is not None and (run.hop.bend is Bend.HEADLESS or _may_be_lost(run)):
            ends |= _GONE
    if _is_in_disaster(run) and run.disaster is Disaster.PROXY_TERMINATED:
        ends |= _GONE | {Code.SHUTTING_DOWN}
    return frozenset(map(str, ends))


def _ends_by(plan: Plan) -> set[FinishReason]:
    """Return the ends that the reader itself may bring about."""
    match plan.way:
        case Way.LEAVE:
            ends = {FinishReason.ABANDONED if plan.on_disconnect == "continue" else FinishReason.CANCELLED}
            return ends | {FinishReason.CANCELLED} if plan.after <= 0 else ends  # it did not know the stream yet
        case Way.CANCEL:
            return {FinishReason.CANCELLED}
        case Way.RETURN if plan.on_disconnect == "cancel":
            return {FinishReason.CANCELLED}
        case Way.DIRECT if plan.reset:
            return {FinishReason.CANCELLED}
        case _:
            return set()


def told(run: Composition, seen: History) -> frozenset[str]:
    """Return what a reader may be told: the log's end, or that it cannot be had."""
    ends = set(ends_in_log(run, seen))
    if run.hop is not None and run.hop.breaks:
        ends.add(_LOST)
    if _is_in_disaster(run):
        ends |= {str(Code.SHUTTING_DOWN)} if run.disaster.is_of_a_gateway else _PROXY_GONE
    if any(end in set(Code) for end in ends):
        ends.add(NO_WORD)
    return frozenset(ends)


def _may_be_lost(run: Composition) -> bool:
    """Whether its gateway may say that a `cancel` answer is lost: then it is over, and whoever comes back is late."""
    return run.hop is not None and run.hop.breaks and run.hop.times > 1 and run.plan.on_disconnect == "cancel"


def _is_in_disaster(run: Composition) -> bool:
    return run.door is Door.MORTAL and run.disaster is not Disaster.NONE


# --- what its readers saw


def _of_reader(run: Composition, seen: History, reader: Reader) -> Iterator[str]:
    numbers, last = reader.numbers, reader.last
    if numbers != sorted(set(numbers)):
        yield f"numbers came twice or out of order: {numbers}"
    if not _is_beginning(run, reader):
        yield f"what was shown is no beginning of what was said: {reader.thinking!r} {reader.text!r}"
    for part in reader.parts:
        if part.refusal and part.refusal in RULES and part.status != RULES[Code(part.refusal)].status:
            yield f"{part.refusal} came as status {part.status}"
    if reader.left or (last.status == 0 and _is_in_disaster(run)):
        return
    reason = last.refusal or last.end
    if not reason:
        if not (_is_in_disaster(run) and (not run.disaster.is_of_a_gateway or run.plan.way in {Way.WHOLE, Way.OLLAMA})):
            yield f"no end: status {last.status} after {len(reader.parts)} connections"
    elif reason not in told(run, seen):
        yield f"{reason} is no end of this run: {sorted(told(run, seen))}"
    else:
        yield from _of_text(run, reader, reason)


def _of_text(run: Composition, reader: Reader, reason: str) -> Iterator[str]:
    """Compare what was shown with what its end says."""
    whole = run.first(len(run.thoughts) + len(run.tokens))
    is_the_rows = reason in run.fault.ends or (reason == NO_WORD and not breaks_off(run))
    if reason == FinishReason.STOP:
        expected = whole
    elif not is_the_rows or (reason == _LOST and breaks_off(run)) or run.fault.shown is Shown.SOME:
        return
    else:
        expected = run.first(run.at) if run.fault.shown is Shown.FIRST else ("", "")
    if run.plan.way is Way.WHOLE and reason != FinishReason.STOP:
        return  # a failure is told in place of the text
    if (reader.thinking, reader.text) != expected:
        yield f"{reason} with {reader.thinking!r} {reader.text!r}, not {expected!r}"
    last_number = len(run.thoughts) + len(run.tokens) + 2  # start, and the end itself
    if reason == FinishReason.STOP and reader.numbers and reader.numbers[-1] != last_number:
        yield f"the last number is {reader.numbers[-1]}, not {last_number}"


def _is_beginning(run: Composition, reader: Reader) -> bool:
    thinking, text = run.first(len(run.thoughts) + len(run.tokens))
    in_order = not reader.text or reader.thinking == thinking
    return in_order and thinking.startswith(reader.thinking) and text.startswith(reader.text)


# --- what the servers and the witness say


def _of_streams(run: Composition, seen: History) -> Iterator[str]:
    fewest, most = _streams(run)
    if not fewest <= len(seen.streams) <= most:
        yield f"{len(seen.streams)} streams, not {fewest} to {most}: {seen.streams}"
    allowed = ends_in_log(run, seen)
    for reason in seen.streams:
        if reason not in allowed:
            yield f"the log ended {reason}, not one of {sorted(allowed)}"
    for part in _logged_ends(seen):
        if part.end not in seen.streams:
            yield f"a reader was told {part.end}, the log ended {seen.streams}"
    if len({part.end for part in _logged_ends(seen)}) > 1:
        yield f"readers were told different ends: {[part.end for part in _logged_ends(seen)]}"


def _logged_ends(seen: History) -> list[Part]:
    parts = [part for reader in seen.readers for part in reader.parts]
    return [part for part in parts if part.end and part.logged and part.end != NO_WORD]


def _streams(run: Composition) -> tuple[int, int]:
    """Return how few and how many streams the proxy may have begun for the run."""
    fewest = 0 if _is_in_disaster(run) or (run.plan.way is Way.LEAVE and run.plan.after <= 0) else 1
    most = 0 if run.plan.way is Way.LEAVE and run.plan.after < 0 else 1
    if run.hop is not None and run.hop.bend is Bend.HEADLESS:
        return 0, 2 * most  # what was begun unseen is taken back, and asked for once more
    return fewest, most


def _of_calls(run: Composition, seen: History) -> Iterator[str]:
    if run.in_line:
        return  # the witness knows calls by their models, and others asked for this one
    most = run.fault.calls * max(1, len(seen.streams) if seen.streams_are_known else 1)
    if len(seen.calls) > most:
        yield f"the model server was asked {len(seen.calls)} times, not {most}"
    produced = max((call["tokens"] for call in seen.calls), default=0)
    for reader in seen.readers:
        content = [number for part in reader.parts for number in part.numbers if number > 1]
        shown = max(content, default=1) - 1 - (reader.last.end != "" and reader.last.logged)
        if shown > produced:
            yield f"{shown} parts were shown, {produced} produced"
    left_at = seen.left_at
    if left_at is not None and not breaks_off(run) and run.plan.on_disconnect == "cancel":
        for call in seen.calls:
            if call["closed_at"] is None or call["closed_at"] - left_at > STOPPED_WITHIN_S + SLACK_S:
                yield f"the model went on for {(call['closed_at'] or call['left_at'] or left_at) - left_at:.2f} s"


def _of_connections(run: Composition, seen: History) -> Iterator[str]:
    allowed = set(told(run, seen))
    if run.plan.way in _GOING or run.plan.way is Way.DIRECT or breaks_off(run):
        allowed.add(ConnectionEnd.CLIENT_GONE)
    if run.plan.way is Way.STUCK or (run.plan.way is Way.SLOW and breaks_off(run)):  # a hop that it held up is lost
        allowed |= {ConnectionEnd.SLOW_CLIENT, ConnectionEnd.CLIENT_GONE}
    if _is_in_disaster(run):
        allowed.add(ConnectionEnd.HANDED_OVER)
    for reason in seen.connections:
        if reason not in allowed:
            yield f"a connection ended {reason}"
