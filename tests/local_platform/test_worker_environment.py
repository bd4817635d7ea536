"""The variables of a worker, read as the SDK reads them (platform.md §4.1)."""

from pathlib import Path

from fooocus_engine.local_platform.worker_environment import adapted, worker_variables

BASE = "http://127.0.0.1:8889/v2/local"
FOUND = worker_variables(BASE, "w1", "k", home=Path("/h"))


def test_the_addresses_are_what_the_sdk_makes_of_its_templates():
    take = FOUND["RUNPOD_WEBHOOK_GET_JOB"].replace("$ID", "w1")
    assert take == f"{BASE}/job-take/w1?gpu=local"
    assert take.replace("/job-take/", "/job-stop/") == f"{BASE}/job-stop/w1?gpu=local"
    for name, path in (("RUNPOD_WEBHOOK_POST_OUTPUT", "job-done"), ("RUNPOD_WEBHOOK_POST_STREAM", "job-stream")):
        post = FOUND[name].replace("$RUNPOD_POD_ID", "w1").replace("$ID", "j1")
        assert post + "&isStream=false" == f"{BASE}/{path}/w1/j1?gpu=local&isStream=false"
    assert FOUND["RUNPOD_WEBHOOK_PING"].replace("$RUNPOD_POD_ID", "w1") == f"{BASE}/ping/w1"


def test_the_worker_knows_itself_and_the_endpoint():
    assert (FOUND["RUNPOD_POD_ID"], FOUND["RUNPOD_ENDPOINT_ID"], FOUND["RUNPOD_AI_API_KEY"]) == ("w1", "local", "k")
    assert int(FOUND["RUNPOD_PING_INTERVAL"]) >= 1000  # below, the SDK's heartbeat dies


def test_what_would_lead_the_sdk_elsewhere_is_removed():
    assert FOUND["RUNPOD_REALTIME_PORT"] is None
    assert FOUND["RUNPOD_API_KEY"] is None
    assert FOUND["HOME"] == "/h"


def test_proxies_are_kept_from_the_platform_alone():
    assert adapted(BASE, {})["NO_PROXY"] == adapted(BASE, {})["no_proxy"] == "127.0.0.1"
    assert adapted(BASE, {"no_proxy": "a.example"})["no_proxy"] == "a.example,127.0.0.1"


def test_the_sdk_logs_no_outputs_unless_told_to():
    found = [adapted(BASE, given)["RUNPOD_LOG_LEVEL"] for given in ({}, {"RUNPOD_DEBUG_LEVEL": "DEBUG"})]
    assert found == ["INFO", "DEBUG"]
