"""How an execution ends: the ladder, the sweep, the drain. Unstarted, as in test_executor_actor."""

import signal

from actors import messages
from actors.executor.reaper import SWEEPS_MAX
from protocol.claude import SessionChoice
from protocol.updates import Outcome
from tests.test_executor_actor import FORGOTTEN, RESULT, Setup, setup

__all__ = ["setup"]


def test_the_watchdog_climbs_from_the_gentlest_rung(setup: Setup) -> None:
    setup.start()
    setup.fire(messages._WatchdogFired)
    assert setup.process.signals == [signal.SIGINT]
    for _ in range(3):
        setup.fire(messages._RungDue)
    assert setup.process.signals == [
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGKILL,
        signal.SIGKILL,
    ]
    setup.exit(-9)
    setup.end_output()
    end = setup.end()
    assert (end.outcome, end.exit_code) == (Outcome.TIMEOUT, 137)


def test_a_kill_overtakes_a_timeout_and_voids_its_timer(setup: Setup) -> None:
    setup.start()
    setup.fire(messages._WatchdogFired)
    old = list(setup.timers.pending)
    setup.executor.receive(messages.KillRun(execution_id="e"))
    setup.executor.receive(messages.KillRun(execution_id="e"))
    setup.executor.receive(messages.KillRun(execution_id="other"))
    assert setup.process.signals == [signal.SIGINT, signal.SIGTERM]
    for timer in old:
        if isinstance(timer.message, messages._RungDue):
            setup.executor.receive(timer.message)
    assert setup.process.signals == [signal.SIGINT, signal.SIGTERM]
    setup.exit(-15)
    setup.end_output()
    assert setup.end().outcome == Outcome.KILLED


def test_success_meanwhile_is_success(setup: Setup) -> None:
    setup.start()
    setup.executor.receive(messages.KillRun(execution_id="e"))
    setup.read(RESULT)
    setup.exit(-15)
    setup.end_output()
    assert setup.end().outcome == Outcome.SUCCESS


def test_a_process_that_stays_after_its_result_is_made_to_go(setup: Setup) -> None:
    setup.start()
    setup.read(RESULT)
    assert setup.process.signals == []
    setup.fire(messages._RungDue)
    assert setup.process.signals == [signal.SIGINT]
    setup.exit(0)
    setup.end_output()
    assert setup.end().outcome == Outcome.SUCCESS


def test_what_is_left_is_swept_before_the_end(setup: Setup) -> None:
    setup.start()
    setup.read(RESULT)
    setup.process.left = [object()]
    setup.exit()
    setup.end_output()
    assert not any(isinstance(m, messages.RunEnded) for m in setup.project.take())
    setup.process.left = []
    setup.fire(messages._SweepDue)
    assert setup.end().outcome == Outcome.SUCCESS


def test_a_sweep_has_an_end(setup: Setup) -> None:
    class Immortal:
        pid = 1

    setup.start()
    setup.process.left = [Immortal()]
    setup.exit()
    setup.end_output()
    for _ in range(SWEEPS_MAX):
        setup.fire(messages._SweepDue)
    assert setup.end().outcome == Outcome.ERROR


def test_a_pipe_that_stays_open_is_left_after_a_moment(setup: Setup) -> None:
    setup.start()
    setup.read(RESULT)
    setup.exit()
    assert not setup.process.output_stopped
    setup.fire(messages._DrainDue)
    assert setup.process.output_stopped
    setup.end_output(rest=(b"half", None))
    messages_told = setup.project.take()
    assert messages_told[-2].lines[0].data == b'{"text":"half"}'
    assert isinstance(messages_told[-1], messages.RunEnded)


def test_a_kill_while_a_forgotten_process_is_swept_is_heard(setup: Setup) -> None:
    setup.start(SessionChoice(resume="s"))
    setup.read(FORGOTTEN)
    setup.process.left = [object()]
    setup.exit(1)
    setup.end_output()
    setup.executor.receive(messages.KillRun(execution_id="e"))
    assert setup.process.signals == []
    setup.process.left = []
    setup.fire(messages._SweepDue)
    assert setup.end().outcome == Outcome.KILLED


def test_timers_that_come_late_are_harmless(setup: Setup) -> None:
    setup.start()
    process_id = setup.process.process_id
    setup.read(RESULT)
    setup.exit()
    setup.end_output()
    setup.end()
    for message in (
        messages._RungDue(process_id=process_id, rung=0),
        messages._SweepDue(process_id=process_id),
        messages._DrainDue(process_id=process_id),
        messages._WatchdogFired(execution_id="e"),
        messages._ProcessExited(process_id=process_id, return_code=0),
        messages._OutputEnded(process_id=process_id, rest=None),
        messages.KillRun(execution_id="e"),
    ):
        setup.executor.receive(message)
    assert setup.project.take() == []
