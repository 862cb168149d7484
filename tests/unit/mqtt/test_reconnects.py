from penstock.mqtt.reconnects import Reconnects
from penstock.mqtt.refusals import Refusal, refusal
from penstock.settings.tree import Mqtt

TAKEN_OVER = refusal(0x8E)
LOST = Refusal("connection_lost", "lost", patient=False)
NOT_AUTHORIZED = refusal(0x87)


def reconnects(**changes: object) -> Reconnects:
    settings = Mqtt(reconnect_min_seconds=0.25, reconnect_max_seconds=15.0, **changes)  # type: ignore[arg-type]
    return Reconnects(settings, lambda: 1.0)


def test_delays_grow_while_connecting_fails() -> None:
    ends = reconnects()
    delays = [ends.ended(LOST, None, float(now)).delay_seconds for now in range(8)]
    assert delays == [0.5, 1, 2, 4, 8, 15, 15, 15]


def test_delays_grow_while_connections_do_not_outlast_the_delay_before_them() -> None:
    ends = reconnects()
    lasted = (0.1, 0.4, 0.9, 1.9, 3.9)
    delays = [ends.ended(LOST, 100.0, 100.0 + seconds).delay_seconds for seconds in lasted]
    assert delays == [0.5, 1, 2, 4, 8]


def test_a_connection_that_lasted_longer_makes_delays_short_again() -> None:
    ends = reconnects()
    for now in range(4):
        ends.ended(LOST, None, float(now))
    assert ends.ended(LOST, 100.0, 104.0).delay_seconds == 0.5


def test_one_that_another_client_may_have_ended_has_to_last_longer_than_any_delay() -> None:
    ends = reconnects(protocol="3.1.1")
    moments = (0.0, 100.0, 200.0, 300.0)
    assert [ends.ended(LOST, now, now + 14.9).delay_seconds for now in moments] == [0.5, 1, 2, 4]
    assert ends.ended(LOST, 400.0, 415.0).delay_seconds == 0.5


def test_what_an_operator_has_to_mend_is_tried_again_after_the_longest_delay() -> None:
    verdict = reconnects().ended(NOT_AUTHORIZED, None, 0.0)
    assert verdict == (NOT_AUTHORIZED, 15.0)


def test_one_takeover_passes_and_two_within_a_minute_are_a_contest() -> None:
    ends = reconnects(client_id="twin")
    assert ends.ended(TAKEN_OVER, 0.0, 10.0).refusal == TAKEN_OVER
    verdict = ends.ended(TAKEN_OVER, 11.0, 70.0)
    assert verdict.refusal.name == "client_id_contested"
    assert "another client uses the same client id 'twin'" in verdict.refusal.text
    assert verdict.delay_seconds == 15.0


def test_takeovers_far_apart_are_no_contest() -> None:
    ends = reconnects()
    for now in (0.0, 61.0, 122.0):
        assert ends.ended(TAKEN_OVER, now - 30, now).refusal == TAKEN_OVER


def test_losses_of_mqtt_5_are_no_contest() -> None:
    ends = reconnects()
    for now in (0.0, 1.0, 2.0):
        assert ends.ended(LOST, now - 0.5, now).refusal == LOST


def test_repeated_losses_of_mqtt_3_1_1_may_be_a_contest() -> None:
    ends = reconnects(protocol="3.1.1", client_id="twin")
    assert ends.ended(LOST, 0.0, 1.0).refusal == LOST
    again = ends.ended(LOST, 2.0, 3.0).refusal
    assert again.name == "connection_lost_repeatedly"
    assert "'twin'" in again.text


def test_attempts_that_were_never_accepted_are_no_contest() -> None:
    ends = reconnects(protocol="3.1.1")
    for now in (0.0, 1.0, 2.0):
        assert ends.ended(LOST, None, now).refusal == LOST
