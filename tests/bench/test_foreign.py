from tests.bench.foreign import MachineTime, Others


def stat(user: int, idle: int, steal: int) -> str:
    return f"cpu  {user} 0 10 {idle} 5 0 0 {steal} 0 0\ncpu0 1 2 3\n"


def test_what_others_used_is_the_machine_s_time_less_ours_and_what_was_stolen_is_told_apart() -> None:
    before, after = MachineTime.of(stat(100, 900, 0)), MachineTime.of(stat(400, 1500, 50))
    others = Others()

    others.add(before, after, seconds=10.0, ours_s=2.0)

    assert str(others) == "other processes 10% of a core, other machines 5%"


def test_a_machine_of_our_own_has_none() -> None:
    same = MachineTime.of(stat(100, 900, 0))
    others = Others()

    others.add(same, same, seconds=1.0, ours_s=0.1)

    assert str(others) == "other processes 0% of a core, other machines 0%"
