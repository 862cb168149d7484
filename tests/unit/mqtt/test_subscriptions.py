import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.mqtt.subscriptions import Subscribed, Subscriptions, in_packets, patterns
from penstock.settings.tree import Mqtt

filters = st.lists(st.text("ab/+", min_size=1, max_size=40), max_size=30)


@given(filters=filters)
def test_each_filter_is_subscribed_to_once_and_in_order(filters: list[str]) -> None:
    assert list(patterns(filters, None)) == list(dict.fromkeys(filters))
    assert list(patterns(filters, "g")) == [f"$share/g/{p}" for p in dict.fromkeys(filters)]


@given(filters=filters, limit=st.none() | st.integers(min_value=20, max_value=300))
def test_packets_hold_every_filter_in_order_and_keep_the_limit(
    filters: list[str], limit: int | None
) -> None:
    packets = list(in_packets(filters, limit))
    assert [pattern for packet in packets for pattern in packet] == filters
    for packet in packets:
        size = 16 + sum(len(pattern) + 3 for pattern in packet)
        assert limit is None or size <= limit or len(packet) == 1
    assert limit is not None or len(packets) <= 1


def test_refused_filters_are_asked_for_again_after_the_longest_delay_until_granted() -> None:
    subscriptions = Subscriptions(Mqtt(reconnect_max_seconds=15.0), ["a", "b"])
    assert subscriptions.first() == ["a", "b"]
    subscriptions.asked(1, ["a", "b"])
    assert subscriptions.outcome() is None
    assert subscriptions.answered(1, [1, 0x97])
    outcome = subscriptions.outcome()
    assert outcome is not None
    assert [refusal.name for refusal in outcome.refused] == ["quota_exceeded"]
    assert subscriptions.again(0.0) == []
    assert subscriptions.again(14.9) == []
    assert subscriptions.again(15.0) == ["b"]
    subscriptions.asked(2, ["b"])
    assert subscriptions.again(100.0) == [], "an answer is due"
    assert subscriptions.answered(2, [1])
    assert subscriptions.outcome() == Subscribed((), ())
    assert subscriptions.again(1000.0) == []


@pytest.mark.parametrize(("packet_id", "codes"), [(2, [1, 1]), (1, [1]), (1, [1, 1, 1])])
def test_an_answer_that_fits_no_question_is_told(packet_id: int, codes: list[int]) -> None:
    subscriptions = Subscriptions(Mqtt(), ["a", "b"])
    subscriptions.asked(1, subscriptions.first())
    assert not subscriptions.answered(packet_id, codes)
