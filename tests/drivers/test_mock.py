import asyncio
from pathlib import Path

import pytest

from raftnomad.drivers.conformance import DriverConformance, printed
from raftnomad.drivers.driver import DriverError
from raftnomad.drivers.mock import MockDriver


class TestMock(DriverConformance):
    def make_driver(self, state_dir: Path) -> MockDriver:
        return MockDriver({}, state_dir)

    def sleeps(self):
        return {"run_for": "300s"}

    def exits(self, code):
        return {"run_for": "10ms", "exit_code": code}

    def prints(self, stdout, stderr):
        return {"run_for": "10ms", "stdout_string": stdout, "stderr_string": stderr}

    async def test_the_end_is_as_configured(self, driver, started, tmp_path):
        config = {"run_for": "10ms", "exit_code": 7, "exit_err_msg": "boom", "exit_signal": 9}
        handle = await self.start(driver, started, self.task(tmp_path, config))
        result = await driver.wait(handle)
        assert (result.exit_code, result.signal, result.error) == (7, 9, "boom")

    @pytest.mark.parametrize("recoverable", [True, False])
    async def test_a_start_error_is_as_recoverable_as_configured(self, driver, tmp_path, recoverable):
        config = {"start_error": "no way", "start_error_recoverable": recoverable}
        with pytest.raises(DriverError, match="no way") as caught:
            await driver.start(self.task(tmp_path, config))
        assert caught.value.recoverable is recoverable

    async def test_a_signal_error_is_told(self, driver, started, tmp_path):
        handle = await self.start(driver, started, self.task(tmp_path, {"run_for": "300s", "signal_error": "deaf"}))
        with pytest.raises(DriverError, match="deaf"):
            await driver.signal(handle, "SIGUSR1")

    async def test_output_is_repeated(self, driver, started, tmp_path):
        config = {
            "run_for": "5s",
            "stdout_string": "x",
            "stdout_repeat": 3,
            "stdout_repeat_duration": "1ms",
        }
        task = self.task(tmp_path, config)
        await self.start(driver, started, task)
        await self.until_printed(task, "xxxx")
        await asyncio.sleep(0.05)
        assert printed(task) == "xxxx"

    def test_durations_are_checked(self, tmp_path):
        assert MockDriver({}, tmp_path).validate({"run_for": "soon"}) == ['run_for "soon" not a valid duration']

    async def test_what_is_not_built_is_refused_by_name(self, driver, tmp_path):
        with pytest.raises(DriverError, match="plugin_exit_after is not built yet"):
            await driver.start(self.task(tmp_path, {"plugin_exit_after": "1s"}))
