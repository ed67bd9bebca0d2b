import asyncio

from raftnomad.tasks import Tasks


async def test_a_crash_is_handed_to_the_owner_and_logged(caplog):
    crashes = []
    tasks = Tasks("owner", crashes.append)

    async def crash():
        raise RuntimeError("no")

    tasks.start(crash(), "loop")
    await asyncio.sleep(0.01)
    assert [str(error) for error in crashes] == ["no"]
    assert "owner: loop failed" in caplog.text


async def test_cancel_waits_until_all_have_ended():
    ended = []
    tasks = Tasks("owner")

    async def loop():
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    tasks.start(loop(), "a")
    tasks.start(loop(), "b")
    await asyncio.sleep(0)
    await tasks.cancel()
    assert ended == [True, True]
