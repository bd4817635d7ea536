"""What a running job reports, compared with the reference's recordings where it must be equal."""

import json
import threading
import time
from pathlib import Path

import pytest

from fooocus_engine.errors import JobCanceled
from fooocus_engine.jobs.events import Canceled, Failed, Finished, ImageReady, Stage, Step
from fooocus_engine.jobs.job import Job, Percent, Phase

RECORDS = Path(__file__).parents[1] / "golden" / "records"
FEW_STEP = {"Extreme Speed": "LCM", "Lightning": "Lightning", "Hyper-SD": "Hyper-SD"}


def recorded_progress():
    """Id, settings and reports of every recorded request that has them."""
    for group in ("H1_text2img", "H4_extra"):
        content = json.loads((RECORDS / f"{group}.json").read_text(encoding="utf-8"))
        for record in content["records"]:
            if reports := record["data"].get("progress"):
                yield pytest.param({**content["defaults"], **record["settings"]}, reports, id=record["id"])


class Listener:
    """Keeps every event. ``now`` is its clock."""

    def __init__(self):
        self.events = []
        self.now = 0.0

    def job(self, **options):
        return Job("j", self.events.append, clock=lambda: self.now, **options)

    @property
    def percents(self):
        return [event.percent for event in self.events]


def prepare(job, *, few_step=None, expanded=False, guided=True, images=1):
    """What a conductor of text to image reports before the first image."""
    if few_step:
        job.stage(Phase.FEW_STEP_LORA, few_step)
    for phase in (Phase.CONTROL_MODELS, Phase.INITIALIZING, Phase.LOADING_MODELS, Phase.PROCESSING_PROMPTS):
        job.stage(phase)
    if expanded:
        for n in range(images):
            job.stage(Phase.EXPANDING, n + 1)
    for n in range(images):
        job.stage(Phase.ENCODING_POSITIVE, n + 1)
    if guided:
        for n in range(images):
            job.stage(Phase.ENCODING_NEGATIVE, n + 1)
    else:
        job.skip(Phase.ENCODING_NEGATIVE)
    job.stage(Phase.MOVING_MODEL)


def run(job, *, images, steps):
    job.expect(images=images, steps=steps)
    for image in range(images):
        job.start_image(image)
        for step in range(steps):
            job.step(image, step, steps)
        job.save_image(image)
        job.image_ready(image, f"j-{image}.png")
    job.finish()


@pytest.mark.parametrize(("settings", "reports"), list(recorded_progress()))
def test_preparation_is_reported_as_the_reference_does(settings, reports):
    listener = Listener()
    job = listener.job()
    few_step = FEW_STEP.get(settings["performance"])
    expanded = "Fooocus V2" in settings["style_selections"]
    prepare(job, few_step=few_step, expanded=expanded, guided=settings["cfg"] > 1 and not few_step)
    job.expect(images=1, steps=30)
    job.start_image(0)
    ours = [[event.percent, event.text] for event in listener.events]
    # the sampling and saving numbers are this project's own (sampling.md §14, [API])
    assert ours == [report for report in reports if not report[1].startswith(("Sampling", "Saving"))]


def test_sampling_counts_from_15_by_all_steps():
    listener = Listener()
    run(listener.job(), images=2, steps=10)
    steps = [event for event in listener.events if isinstance(event, Step)]
    assert [event.percent for event in steps[:3]] == [15, 19, 23]  # int(15 + 85 · done / 20)
    assert steps[10].percent == 57
    assert steps[10].text == "Step 0/10 in the 2-th Sampling"
    assert (steps[10].image, steps[10].step, steps[10].total) == (1, 0, 10)


def test_parts_of_different_length_share_the_percentage_by_their_steps():
    listener = Listener()
    job = listener.job()
    job.stage(Phase.ENHANCING)
    job.expect_parts([18, 30, 0])
    reports = [(0, 0), (0, 9), (1, 0), (1, 15), (2, 0)]
    for image, step in reports:
        job.stage(Phase.LOADING_MODELS)  # a phase of a later part does not advance any more
        job.step(image, step, 30)
    steps = [event.percent for event in listener.events if isinstance(event, Step)]
    assert steps == [int(15 + 85 * done / 49) for done in (0, 9, 18, 33, 48)]


def test_tiles_of_a_part_do_not_run_ahead():
    listener = Listener()
    job = listener.job()
    job.expect_parts([0, 30])
    job.tile(3, 4, alone=True)
    job.step(1, 0, 30)
    assert listener.percents == [0, int(15 + 85 / 31)]


def test_saving_and_the_next_image_are_counted_from_one():
    listener = Listener()
    run(listener.job(), images=2, steps=3)
    texts = [event.text for event in listener.events if isinstance(event, Stage)]
    assert texts == [
        "Preparing task 1/2 ...",
        "Saving image 1/2 to system ...",
        "Preparing task 2/2 ...",
        "Saving image 2/2 to system ...",
    ]


@pytest.mark.parametrize("images", [1, 2, 7])
@pytest.mark.parametrize("steps", [1, 4, 60])
@pytest.mark.parametrize("expanded", [True, False])
def test_percent_never_falls_and_is_100_only_at_the_end(images, steps, expanded):
    listener = Listener()
    job = listener.job()
    prepare(job, expanded=expanded, images=images)
    run(job, images=images, steps=steps)
    percents = [event.percent for event in listener.events if not isinstance(event, ImageReady)]
    assert percents == sorted(percents)
    assert percents.count(100) == 1
    assert listener.events[-1] == Finished(100, "Finished")


def test_more_steps_than_expected_stay_below_100():
    percent = Percent()
    percent.expect([4])
    assert percent.step(0, 400) == 99


def test_nothing_to_sample_is_no_division_by_zero():
    percent = Percent()
    percent.expect([])
    assert percent.step(0, 0) == 15


def test_stored_images_are_told():
    listener = Listener()
    listener.job().image_ready(1, "j-1.png", "https://x/j-1.png")
    assert listener.events == [ImageReady(1, "j-1.png", "https://x/j-1.png")]


@pytest.mark.parametrize(
    "report",
    [
        lambda job: job.check(),
        lambda job: job.stage(Phase.LOADING_MODELS),
        lambda job: job.start_image(0),
        lambda job: job.step(0, 0, 4),
        lambda job: job.save_image(0),
    ],
)
def test_a_canceled_job_stops_at_its_next_report_and_reports_nothing(report):
    listener = Listener()
    job = listener.job()
    report(job)
    listener.events.clear()
    assert not job.canceled
    job.cancel()
    assert job.canceled
    with pytest.raises(JobCanceled):
        report(job)
    assert listener.events == []


@pytest.mark.parametrize("end", [Finished(), Failed("no"), Canceled()])
def test_nothing_follows_the_end(end):
    listener = Listener()
    job = listener.job()
    job.emit(end)
    job.finish()
    job.stage(Phase.LOADING_MODELS)
    assert listener.events == [end]


def test_previews_are_wanted_at_once_and_then_once_per_interval():
    listener = Listener()
    job = listener.job(preview_interval_s=1.0)
    wanted = []
    for step, now in enumerate([0.0, 0.4, 0.9, 1.0, 1.5, 2.0]):
        listener.now = now
        wanted.append(job.wants_preview())
        job.step(0, step, 6, preview=b"png" if wanted[-1] else None)
    assert wanted == [True, False, False, True, False, True]
    assert [event.preview for event in listener.events] == [b"png" if w else None for w in wanted]


def test_asking_for_a_preview_does_not_use_it_up():
    job = Listener().job()
    assert job.wants_preview()
    assert job.wants_preview()


def test_no_preview_is_wanted_without_an_interval():
    assert not Listener().job(preview_interval_s=None).wants_preview()


def test_a_picture_may_be_told_ready_from_another_thread_one_event_at_a_time():
    inside, overlapping = threading.Lock(), []

    def sink(event):
        if not inside.acquire(blocking=False):
            overlapping.append(event)
            return
        time.sleep(0)  # lets another thread in, if it can
        inside.release()

    job = Job("j", sink)
    threads = [
        threading.Thread(target=lambda: [job.image_ready(n, "a.png") for n in range(200)]),
        threading.Thread(target=lambda: [job.step(0, n, 200) for n in range(200)]),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlapping == []


def test_tiles_of_a_job_that_only_enlarges_fill_the_percentage():
    listener = Listener()
    job = listener.job()
    job.stage(Phase.IMAGE_PROCESSING)
    job.stage(Phase.UPSCALING, (200, 152))
    for done in range(1, 5):
        job.tile(done, 4, alone=True)
    assert listener.events[1] == Stage(3, "Upscaling image from (200, 152) ...")
    assert listener.percents == [2, 3, 27, 51, 75, 99]
    assert listener.events[-1].text == "Upscaling image, tile 4/4 ..."


def test_tiles_before_sampling_leave_the_percentage_to_the_phases():
    listener = Listener()
    job = listener.job()
    for phase in (Phase.LOADING_MODELS, Phase.IMAGE_PROCESSING):
        job.stage(phase)
    job.stage(Phase.UPSCALING, (200, 152))
    for done in (1, 2):
        job.tile(done, 2, alone=False)
    job.stage(Phase.ENCODING_UPSCALED)
    assert listener.percents == [2, 3, 4, 4, 4, 5]


def test_a_job_can_be_given_up_between_two_tiles():
    job = Listener().job()
    job.tile(1, 3, alone=True)
    job.cancel()
    with pytest.raises(JobCanceled):
        job.tile(2, 3, alone=True)
