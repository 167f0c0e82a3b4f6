from gateway.guard.wrong_keys import ADDRESSES_MAX, ALLOWED, WINDOW_S, WrongKeys


def test_twenty_wrong_keys_of_an_address_wait_for_nothing_and_the_next_waits_for_the_oldest() -> None:
    wrong = WrongKeys()

    waits = [wrong.wait_s("192.0.2.1", float(second)) for second in range(ALLOWED + 2)]

    assert waits == [*[0.0] * ALLOWED, WINDOW_S - 20, WINDOW_S - 21]


def test_a_minute_after_the_oldest_one_more_may_be_tried() -> None:
    wrong = WrongKeys()
    for second in range(ALLOWED):
        wrong.wait_s("192.0.2.1", float(second))

    assert [wrong.wait_s("192.0.2.1", at) for at in (59.5, 60.0, 60.5, 61.0)] == [0.5, 0.0, 0.5, 0.0]


def test_another_address_is_not_slowed_down() -> None:
    wrong = WrongKeys()
    for _ in range(ALLOWED + 1):
        wrong.wait_s("192.0.2.1", 0.0)

    assert wrong.wait_s("192.0.2.2", 0.0) == 0.0


def test_of_more_addresses_than_are_remembered_the_longest_quiet_is_forgotten() -> None:
    wrong = WrongKeys()
    for _ in range(ALLOWED):
        wrong.wait_s("first", 0.0)
    for number in range(ADDRESSES_MAX - 1):
        wrong.wait_s(str(number), 0.0)
    still_known = wrong.wait_s("first", 1.0)
    for number in range(ADDRESSES_MAX):
        wrong.wait_s(f"more {number}", 2.0)

    assert (still_known, wrong.wait_s("first", 3.0)) == (WINDOW_S - 1, 0.0)
