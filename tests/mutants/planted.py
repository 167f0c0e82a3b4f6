"""Thirty bugs: each an edit by old and new text, and the narrow tests of which at least one must fail."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Mutant:
    """One bug.

    Args:
        old: stands in ``file`` exactly once.
        tests: what pytest is given; at least one of these tests must fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


PRODUCER: Final = "tests/proxy/upstream/test_producer.py"
LOG: Final = "tests/proxy/streams/test_log.py"
HOPS: Final = "tests/gateway/relay/test_hops.py"
BREAKS: Final = "tests/gateway/relay/test_relay_breaks.py"

MUTANTS: Final = (
    Mutant(
        "the permit is not given back",
        "proxy/upstream/producer.py",
        "        self._walk.leave(stream.timeline.permit_s)\n",
        "",
        (PRODUCER,),
    ),
    Mutant(
        "the permit is not given back by a stream that was stopped",
        "proxy/upstream/producer.py",
        "        self._walk.leave(stream.timeline.permit_s)\n",
        "        if stream.stopped_at is None:\n            self._walk.leave(None)\n",
        (PRODUCER,),
    ),
    Mutant(
        "the permit is given back before the connection is closed",
        "proxy/upstream/producer.py",
        "        self._task = None  # nothing may cancel what follows\n",
        "        self._task = None  # nothing may cancel what follows\n        self._walk.leave(None)\n",
        (PRODUCER,),
    ),
    Mutant(
        "a stop does not close the call of the model server",
        "proxy/streams/stream.py",
        "            self.stopped_at = self.timeline.ended\n        self._abort()\n",
        "            self.stopped_at = self.timeline.ended\n",
        ("tests/proxy/streams/test_stream.py", PRODUCER),
    ),
    Mutant(
        "a log takes a second terminal event",
        "proxy/streams/log.py",
        "        if self.end is not None:\n            self.late += 1\n            return False\n",
        "",
        (LOG,),
    ),
    Mutant(
        "done after a truncation",
        "proxy/providers/ollama.py",
        "        return NO_ANSWER if self._foreign and not understood else TRUNCATED\n",
        "        return NO_ANSWER if self._foreign and not understood else Completion(FinishReason.STOP, None)\n",
        ("tests/proxy/providers/test_ollama.py",),
    ),
    Mutant(
        "a retry after the first token",
        "proxy/upstream/retry.py",
        "    return last.content or (",
        "    return (",
        ("tests/proxy/upstream/test_retry.py",),
    ),
    Mutant(
        "the time-out of the first token is that of silence",
        "proxy/upstream/producer.py",
        "self._first_token_due(server, reading.asked_at), FIRST_TOKEN_TIMEOUT",
        "reading.asked_at + idle_s, FIRST_TOKEN_TIMEOUT",
        (PRODUCER,),
    ),
    Mutant(
        "a page of any origin may read the answers",
        "gateway/routes/cors.py",
        '        if origin in allowed:\n            response.headers["Access-Control-Allow-Origin"]',
        '        if origin is not None:\n            response.headers["Access-Control-Allow-Origin"]',
        ("tests/gateway/routes/test_cors.py",),
    ),
    Mutant(
        "a prompt ends in the log",
        "proxy/report.py",
        "        operation=stream.request.kind,\n",
        "        operation=stream.request.kind,\n        request=repr(stream.request),\n",
        ("tests/behaviour/test_canaries.py::test_no_word_of_prompt_or_answer_reaches_logs_metrics_or_errors",),
    ),
    Mutant(
        "a replay begins one part too early",
        "proxy/streams/log.py",
        "if position >= self.first else 0",
        "if position > self.first else 0",
        (LOG,),
    ),
    Mutant(
        "merged text has the number of its first part",
        "proxy/streams/log.py",
        "        return self.last, self.kind(",
        "        return self.first, self.kind(",
        (LOG,),
    ),
    Mutant(
        "a gap is not noticed",
        "proxy/streams/log.py",
        "        if position + 1 < self.first:\n            raise LeftTheLog\n        return self._batch(position)",
        "        return self._batch(position)",
        (LOG,),
    ),
    Mutant(
        "the hop's heartbeats stand inside the client's frames",
        "services/wire/native.py",
        "    while data.startswith(sse.HEARTBEAT):\n        data = data[len(sse.HEARTBEAT) :]\n    return data\n",
        "    return data\n",
        ("tests/wire/test_native.py",),
    ),
    Mutant(
        "half a frame of a broken hop is joined to the next one",
        "gateway/relay/relay.py",
        "        self._passed.reader.begin_anew()",
        "        self._passed.reader.last_number",
        (BREAKS,),
    ),
    Mutant(
        "a hop that breaks again and again is followed for ever",
        "gateway/relay/followed_hop.py",
        "        hop = None if self.was_followed_again else await self._again(number)\n",
        "        hop = await self._again(number)\n",
        (BREAKS,),
    ),
    Mutant(
        "a generation is started anew where a hop broke before its headers",
        "gateway/relay/hops.py",
        "        if head.end is ResponseEnd.STALE:\n",
        "        if head.status == 0:\n",
        (f"{HOPS}::test_a_proxy_that_breaks_off_before_its_headers_is_disconnected_and_the_follower_is_taken_back",),
    ),
    Mutant(
        "the proxy is not told that a client left",
        "gateway/relay/hops.py",
        "            await proxy.depart(follower, unseen=unseen)\n\n    async def _open",
        "            return\n\n    async def _open",
        (f"{HOPS}::test_a_client_that_left_closes_its_hop_first_and_then_says_so",),
    ),
    Mutant(
        "whoever leaves stops an answer that is to continue",
        "proxy/streams/presence.py",
        "stops=self._leave is not Leave.CONTINUE or nobody_can_come_back",
        "stops=True",
        ("tests/proxy/streams/test_presence.py",),
    ),
    Mutant(
        "a gateway's death stops its answers",
        "proxy/streams/presence.py",
        "stops=self._leave is Leave.DIRECT or nobody_can_come_back",
        "stops=self._leave is not Leave.CONTINUE or nobody_can_come_back",
        ("tests/proxy/streams/test_presence.py",),
    ),
    Mutant(
        "a reader that takes nothing is kept",
        "services/http/sink.py",
        "            self._on_stuck()\n            return None\n",
        "            return None\n",
        ("tests/http/test_sink.py",),
    ),
    Mutant(
        "what breaks behind its headers ends as if it were whole",
        "services/http/sink.py",
        "        if self.is_whole:\n",
        "        if True:\n",
        ("tests/http/test_sink.py",),
    ),
    Mutant(
        "num_predict has no cap",
        "services/wire/request.py",
        "else min(wanted, max_output_tokens)",
        "else wanted",
        ("tests/wire/test_request.py",),
    ),
    Mutant(
        "any Host is answered",
        "services/http/hosts.py",
        "        return name in self._own or name in self._allowed or _LOCALHOST.fullmatch(name) is not None",
        "        return name is not None",
        ("tests/http/test_hosts.py",),
    ),
    Mutant(
        "hosts and paths stay in the model server's words",
        "proxy/providers/scrubbing.py",
        '    return clean + _PLACES.sub("…", text[end:])',
        "    return clean + text[end:]",
        ("tests/proxy/providers/test_scrubbing.py",),
    ),
    Mutant(
        "a client's word becomes a label",
        "services/telemetry/metrics.py",
        "        return self._labels.get(self._canonical(name), OTHER_MODEL)",
        "        return self._labels.get(self._canonical(name), name)",
        ("tests/telemetry/test_metrics.py", "tests/telemetry/test_stream_metrics.py"),
    ),
    Mutant(
        "an unknown field of a request is taken",
        "services/wire/bodies.py",
        '    body = validated(GatewayChat, read(raw), extra="forbid")',
        '    body = validated(GatewayChat, read(raw), extra="ignore")',
        ("tests/wire/test_bodies.py",),
    ),
    Mutant(
        "who came last is served first",
        "proxy/streams/fair_line.py",
        "        waiter = self._queues[owner].popleft()\n",
        "        waiter = self._queues[owner].pop()\n",
        ("tests/proxy/streams/test_fair_line.py", "tests/proxy/streams/test_permits.py"),
    ),
    Mutant(
        "a stranger's stream can be read by its id",
        "proxy/streams/registry.py",
        "        if stream is None or stream.caller.owner != owner:\n",
        "        if stream is None:\n",
        ("tests/proxy/streams/test_registry.py",),
    ),
    Mutant(
        "a gateway that drains takes new answers",
        "gateway/relay/connection.py",
        "        if self.draining and new_stream:\n",
        "        if self.draining and not new_stream:\n",
        ("tests/gateway/relay/test_connection.py",),
    ),
)
