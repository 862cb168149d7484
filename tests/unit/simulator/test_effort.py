"""A simulator that was too slow says so itself."""

from penstock_simulator.effort import Effort


class Machine:
    """A clock and a core that are used as told."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.cpu = 50.0

    def watched(self) -> Effort:
        return Effort(now=lambda: self.now, cpu=lambda: self.cpu)

    def work(self, effort: Effort, seconds: float, *, share: float, gap: float = 0.002) -> None:
        for _ in range(round(seconds / gap)):
            self.now += gap
            self.cpu += gap * share
            effort.look()


def test_a_light_load_is_not_marked() -> None:
    machine = Machine()
    effort = machine.watched()
    machine.work(effort, 10, share=0.5)
    assert round(effort.cpu_share, 6) == 0.5
    assert (effort.late_share, effort.limits) == (0, False)


def test_a_used_up_core_is_marked() -> None:
    machine = Machine()
    effort = machine.watched()
    machine.work(effort, 10, share=0.95)
    assert effort.limits


def test_being_late_to_the_schedule_is_marked_though_the_core_is_idle() -> None:
    machine = Machine()
    effort = machine.watched()
    machine.work(effort, 10, share=0.1)
    machine.work(effort, 0.5, share=0.1, gap=0.25)
    assert round(effort.late_share, 3) == round(0.5 / 10.5, 3)
    assert effort.limits


def test_what_comes_after_the_last_look_is_not_the_runs() -> None:
    machine = Machine()
    effort = machine.watched()
    machine.work(effort, 10, share=0.5)
    machine.now += 60
    machine.cpu += 60
    assert round(effort.cpu_share, 6) == 0.5
    assert not effort.limits


def test_every_second_is_kept() -> None:
    machine = Machine()
    effort = machine.watched()
    machine.work(effort, 2.1, share=0.2)
    machine.work(effort, 1, share=0.8, gap=0.05)
    first, second, third = effort.seconds[:3]
    assert round(first.cpu_share, 3) == round(second.cpu_share, 3) == 0.2
    assert third.cpu_share > 0.7
    assert round(third.worst_gap_seconds, 3) == 0.05
    assert round(second.at_seconds) == 2
