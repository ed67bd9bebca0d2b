from raftnomad.cli import node_sections

A_NODE = {
    "ID": "11111111-2222-3333-4444-555555555555",
    "Name": "one",
    "NodePool": "default",
    "NodeClass": "",
    "Datacenter": "dc1",
    "SchedulingEligibility": "eligible",
    "Status": "ready",
    "Drivers": {
        "docker": {"Detected": True, "Healthy": False, "HealthDescription": "down", "UpdateTime": ""},
        "raw_exec": {"Detected": True, "Healthy": True, "HealthDescription": "Healthy", "UpdateTime": ""},
        "qemu": {"Detected": False, "Healthy": False, "HealthDescription": "", "UpdateTime": ""},
    },
    "NodeResources": {"Cpu": {"CpuShares": 2000}, "Memory": {"MemoryMB": 4096}, "Disk": {"DiskMB": 10240}},
    "ReservedResources": {"Cpu": {"CpuShares": 500}, "Memory": {"MemoryMB": 1024}, "Disk": None},
}


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_drivers_that_are_not_there_are_not_named_and_unhealthy_ones_are_marked():
    text = node_sections.basic(A_NODE, {}, short=False, verbose=False)
    assert "Driver Status   = docker (unhealthy),raw_exec" in text
    assert "Uptime" not in text


def test_how_a_node_drains_is_told_with_its_deadline():
    def drain(deadline_ns: int) -> str:
        strategy = {"Deadline": deadline_ns, "ForceDeadline": "2026-11-25T04:00:00Z"}
        text = node_sections.basic({**A_NODE, "DrainStrategy": strategy}, {}, short=True, verbose=False)
        return next(line.partition("= ")[2] for line in text.splitlines() if line.startswith("Drain "))

    assert drain(0) == "true; no deadline"
    assert drain(-1) == "true; force drain"
    assert drain(5).startswith("true; deadline 2026-11-2")


def test_what_allocations_were_promised_leaves_out_those_that_ended_and_what_is_reserved():
    resources = {"Tasks": {"main": {"Cpu": {"CpuShares": 100}, "Memory": {"MemoryMB": 256}}}, "Shared": {"DiskMB": 300}}
    allocations = [
        {"ClientStatus": status, "AllocatedResources": resources} for status in ("running", "pending", "complete")
    ]
    told = node_sections.allocated(A_NODE, allocations).splitlines()[-1]
    assert told.split("  ") == ["200/1500 MHz", "512 MiB/3.0 GiB", "600 MiB/10 GiB", "2"]


def test_what_allocations_use_is_the_sum_of_what_their_drivers_measure():
    usages = [{"CpuStats": {"TotalTicks": 10.4}, "MemoryStats": {"RSS": 1024**2}}, {}]
    assert node_sections.allocation_use(A_NODE, usages).splitlines()[-1].split() == [
        "10/1500", "MHz", "1.0", "MiB/3.0", "GiB",
    ]  # fmt: skip


def test_events_are_told_newest_first():
    events = [{"Timestamp": "", "Subsystem": "Cluster", "Message": word, "Details": None} for word in ("first", "last")]
    told = lines(node_sections.events({"Events": events}, verbose=True))
    assert [line[2] for line in told[2:]] == ["last", "first"]
    assert told[2][-1] == "<none>"
