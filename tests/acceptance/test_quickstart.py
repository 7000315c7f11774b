"""The specification's quick start, word for word, in a fresh checkout."""

from __future__ import annotations

import os
import signal
import subprocess
import sysconfig
from pathlib import Path

import pytest

from enhanced_automation_agent import EnhancedAutomationAgent
from tests.acceptance.checkout import fresh_checkout
from tests.support.processes import CHECKOUT, Completed
from tests.support.waiting import until

VENV = "python3 -m venv .venv"
INSTALL = "source .venv/bin/activate\npip install -r requirements.txt\n"
RUN = "source .venv/bin/activate\nexec python enhanced_automation_agent.py resume\n"
ENQUEUE = "source .venv/bin/activate\npython enhanced_automation_agent.py enqueue demo '{\"value\": 42}'\n"
INSPECT = "source .venv/bin/activate\npython enhanced_automation_agent.py inspect 1\n"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh checkout with its virtual environment, set up without a network."""
    copy = fresh_checkout(tmp_path_factory.mktemp("quickstart"))
    assert shell(copy, VENV).code == 0
    packages = next((copy / ".venv" / "lib").glob("python*/site-packages"))
    (packages / "packages_of_the_tests.pth").write_text(sysconfig.get_path("purelib"))  # pip finds all of them here
    installed = shell(copy, INSTALL)
    assert installed.code == 0, installed.err
    return copy


def shell(directory: Path, script: str) -> Completed:
    """A script, run by bash to its end."""
    done = subprocess.run(
        ["bash", "-e"], input=script, cwd=directory, env=environment(), capture_output=True, text=True, check=False
    )
    return Completed(done.returncode, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    """That of a newcomer: the virtual environment of the tests is not active, and nothing points at the checkout."""
    kept = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    return kept | {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def test_the_quick_start(checkout: Path) -> None:
    with (checkout.parent / "resume.err").open("w") as err:
        agent = subprocess.Popen(["bash", "-ec", RUN], cwd=checkout, env=environment(), stderr=err)
    try:
        enqueued = shell(checkout, ENQUEUE)
        assert (enqueued.code, enqueued.out) == (0, "1\n")

        inspected = until(lambda: succeeded(shell(checkout, INSPECT)), what="the task to succeed")

        assert 'result        {"result":42}' in inspected.out.splitlines()
        assert (checkout / "state.db").exists()
        assert (checkout / "logs" / "agent.jsonl").stat().st_size > 0
        assert (checkout / "logs" / "metrics.jsonl").stat().st_size > 0
        agent.send_signal(signal.SIGINT)
        assert agent.wait(30) == 0
    finally:
        agent.kill()
        agent.wait()


def succeeded(done: Completed) -> Completed | None:
    assert done.code == 0, done.err
    return done if "succeeded" in done.out else None


def test_the_example_of_the_specification_registers_a_handler(checkout: Path) -> None:
    text = """\
from enhanced_automation_agent import EnhancedAutomationAgent

agent = EnhancedAutomationAgent()

def demo_handler(payload: dict[str, int]) -> dict[str, int]:
    return {"result": payload["value"]}

agent.register_handler("demo", demo_handler)
"""
    (checkout / "register.py").write_text(text + "\nraise SystemExit(agent.resume(drain=True))\n")
    task = EnhancedAutomationAgent(checkout / "config.yml")
    assert shell(checkout, "source .venv/bin/activate\n" + ENQUEUE.splitlines()[1]).out == "2\n"

    done = shell(checkout, "source .venv/bin/activate\npython register.py\n")

    assert done.code == 0, done.err
    assert '{"result":42}' in shell(checkout, INSPECT.replace("inspect 1", "inspect 2")).out
    task.close()


def test_the_configuration_of_the_specification_is_the_shipped_one(tmp_path: Path) -> None:
    text = """\
bulk:
  max_concurrent: 8
  retry_attempts: 3
  retry_delay_seconds: 15

governance:
  cpu_high_pct: 85
  mem_high_pct: 85
  window_s: 30
  pause_after_error_burst:
    threshold: 10
    duration_s: 60
  human_review_after_pause_bursts: 3

telemetry:
  sample_interval_s: 2
  log_interval_s: 10

persistence:
  db_path: state.db
  gc_completed_after_days: 7

escalation:
  enabled: true
  webhook_url: "http://localhost:8080/hook"
  email_to: "ops@example.local"
"""
    from agent.config import flat, load

    (tmp_path / "config.yml").write_text(text)

    written, shipped = (flat(load(str(path)).config) for path in (tmp_path / "config.yml", CHECKOUT / "config.yml"))

    assert {key for key in written if written[key] != shipped[key]} == {"handlers"}
