from raftnomad.drivers.docker.containers import exit_result


def test_how_a_container_ended():
    assert exit_result({"ExitCode": 0}).successful
    assert exit_result({"ExitCode": 3}).error == "Docker container exited with non-zero exit code: 3"
    killed = exit_result({"ExitCode": 137, "OOMKilled": True})
    assert (killed.exit_code, killed.oom_killed, killed.error) == (137, True, "OOM Killed")
