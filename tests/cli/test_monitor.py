from raftnomad.cli.monitor import _reason


def event(kind: str, message: str) -> dict[str, str]:
    return {"Type": kind, "DisplayMessage": message}


def test_what_a_driver_refused_says_more_than_how_it_ended():
    events = [event("Driver Failure", 'binary "/bin/nosuch" could not be found'), event("Terminated", "Exit Code: 1")]
    assert _reason(events) == 'Driver Failure: binary "/bin/nosuch" could not be found'


def test_the_newest_end_is_the_reason_when_nothing_says_more():
    assert _reason(
        [event("Terminated", "Exit Code: 1"), event("Started", ""), event("Terminated", "Exit Code: 3")]
    ) == ("Terminated: Exit Code: 3")


def test_a_task_to_which_nothing_happened_has_no_reason():
    assert _reason([event("Received", ""), event("Started", "")]) == ""
