"""CPU time of feature extraction against a plain decode and against a straightforward extractor.

Run ``python -m tests.benchmarks.extraction``; it makes its own clips and prints markdown tables: 1080p and 720p at the
bit rates of video platforms (libx264 at CRF 23), 1080p at several times that (CRF 18), and for stage 4 the copy that
stage 3 makes of the 720p clip. Each measurement runs in a process of its own with one thread and is the mean over as
many runs as take a second, one at least, after a first one that pays for start-up. The methods take turns; a ratio is
the median over the rounds of the ratio within a round. The least of a method's CPU seconds are those that other work
on the machine disturbed least.

``python -m tests.benchmarks.extraction workers`` runs each stage over 320 short clips with two workers and with one.
"""

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from fvc_exp.config.schema import DemoConfig, LimitsConfig, SamplingConfig, Table, VideoConfig
from fvc_exp.demo.corpus import ensure_demo
from fvc_exp.features.extract import extract
from fvc_exp.stages.runner import Options, run_augment, run_features, run_scale
from fvc_exp.video.decode import SampledFrames
from fvc_exp.video.packets import sample_indices
from fvc_exp.video.rewrite import letterbox, scale
from tests.benchmarks.harness import Cost, Row, markdown

SAMPLING = SamplingConfig(fraction=0.1, min_frames=5, max_frames=50)
LIMITS = LimitsConfig(max_pixels=8_847_360, cpu_seconds=600, wall_seconds=600, memory_mb=4000)
ROUNDS = 5
FRAMES = 300
ENOUGH_SECONDS = 1.0
RATE = 30
# Height, width, libx264's constant rate factor.
CLIPS = {"1080p": (1080, 1920, 23), "720p": (720, 1280, 23), "1080p-heavy": (1080, 1920, 18)}
COPY, COPIED, COPY_SIZE = "stage-3 copy", "720p", 256
COPY_PICTURE = letterbox(CLIPS[COPIED][1], CLIPS[COPIED][0], COPY_SIZE)
METHODS = {
    **dict.fromkeys(CLIPS, ("decode", "selective", "stage2", "forensic", "loops2")),
    COPY: ("decode", "selective", "stage4", "loops4"),
}
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def scene(height: int, width: int) -> Iterator[NDArray[np.uint8]]:
    """A camera drifting over textures of all sizes, one object crossing, and sensor noise."""
    random = np.random.default_rng(0)
    margin = height // 6
    canvas = np.zeros((height + 2 * margin, width + 2 * margin, 3), np.float32)
    for sigma in (1.5, 6, 24):
        field = random.standard_normal(canvas.shape, dtype=np.float32)
        canvas += cv2.GaussianBlur(field, (0, 0), sigma) * sigma**1.2
    canvas = np.clip(110 + 28 * canvas / canvas.std(), 0, 255)
    grain = random.normal(0, 3, (2 * height, 2 * width, 1)).astype(np.float32)
    for number in range(FRAMES):
        top = int(margin * (1 + np.sin(number / 40)))
        left = int(margin * (1 + np.cos(number / 55)))
        y, x = random.integers((height, width)).tolist()
        frame = canvas[top : top + height, left : left + width] + grain[y : y + height, x : x + width]
        x = (number * 6) % width
        frame[height // 3 : height // 2, x : x + height // 6] = canvas[: height // 2 - height // 3, : height // 6][
            :, : max(width - x, 0)
        ]
        yield np.clip(frame, 0, 255).astype(np.uint8)


def write_clip(path: Path, height: int, width: int, crf: int) -> None:
    options = {"threads": "1", "preset": "fast", "crf": str(crf), "x264-params": "bframes=3:cpu-independent=1:mbtree=0"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for frame in scene(height, width):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def block_loop(gray: NDArray[np.uint8]) -> list[float]:
    height, width = gray.shape
    dc, ac = [], []
    for top in range(0, height - 7, 8):
        for left in range(0, width - 7, 8):
            spectrum = cv2.dct(gray[top : top + 8, left : left + 8].astype(np.float32))
            dc.append(spectrum[0, 0])
            spectrum[0, 0] = 0
            ac.append(spectrum)
    stacked = np.array(ac)
    return [np.mean(dc), np.std(dc), stacked.mean(), stacked.std(), np.sum(stacked**2)]


def straightforward_frame(gray: NDArray[np.uint8]) -> list[float]:
    kernel = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]])
    squares = cv2.filter2D(gray.astype(np.float64), -1, kernel) ** 2
    laplacian = cv2.Laplacian(gray, cv2.CV_64F)
    gradient = np.sqrt(cv2.Sobel(gray, cv2.CV_64F, 1, 0) ** 2 + cv2.Sobel(gray, cv2.CV_64F, 0, 1) ** 2)
    lines = [np.std(gray[row]) for row in range(8, gray.shape[0], 8)]
    lines += [np.std(gray[:, column]) for column in range(8, gray.shape[1], 8)]
    sharpness = [laplacian.var(), gradient.mean(), gradient.std()]
    return [squares.sum(), squares.mean(), squares.std(), *block_loop(gray), *sharpness, float(np.mean(lines))]


def straightforward_added(gray: NDArray[np.uint8], rgb: NDArray[np.uint8]) -> list[float]:
    height, width = gray.shape
    edges = np.sum(cv2.Canny(gray, 50, 150) > 0) / gray.size
    texture = 1 / (1 + np.std(cv2.filter2D(gray.astype(np.float32), -1, np.ones((5, 5)) / 25)))
    steps = 0.0
    for top in range(0, height - 8, 8):
        for left in range(0, width - 8, 8):
            block = gray[top : top + 8, left : left + 8]
            steps += float(np.mean(np.abs(np.diff(block, axis=0))) + np.mean(np.abs(np.diff(block, axis=1))))
    return [edges, float(texture), *(float(np.std(rgb[..., channel])) for channel in range(3)), steps]


def straightforward(path: Path, sampling: SamplingConfig, *, is_stage4: bool) -> list[float]:
    """Decode all frames to RGB, and loop over the 8x8 blocks of the sampled ones."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        wanted = set(sample_indices(container.streams.video[0].frames, sampling))
        rows = []
        for index, frame in enumerate(container.decode(video=0)):
            rgb = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
            if index not in wanted:
                continue
            gray = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
            rows.append(straightforward_frame(gray) + (straightforward_added(gray, rgb) if is_stage4 else []))
    return [float(value) for value in np.mean(rows, axis=0)]


def plain_decode(path: Path) -> int:
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        return sum(1 for _ in container.decode(video=0))


OTHERS: dict[str, Callable[[Path], object]] = {
    "decode": plain_decode,
    "loops2": lambda path: straightforward(path, SAMPLING, is_stage4=False),
    "loops4": lambda path: straightforward(path, SAMPLING, is_stage4=True),
}
OURS: dict[str, Callable[[Path], object]] = {
    "selective": lambda path: SampledFrames(path, SAMPLING, LIMITS).read(lambda samples: sum(1 for _ in samples)),
    "stage2": lambda path: extract(path, [Table.stage2], SAMPLING, LIMITS),
    "forensic": lambda path: extract(path, [Table.forensic], SAMPLING, LIMITS),
    "stage4": lambda path: extract(path, [Table.stage4], SAMPLING, LIMITS, scaling=COPY_PICTURE),
}


def measure(method: str, path: Path) -> float:
    """CPU seconds of a method."""
    cv2.setNumThreads(1)
    # The workers of the video stages do without IPP.
    cv2.ipp.setUseIPP(method in OTHERS)
    action = (OTHERS | OURS)[method]
    action(path)
    costs: list[float] = []
    while sum(costs) < ENOUGH_SECONDS:
        start = time.process_time()
        action(path)
        costs.append(time.process_time() - start)
    return sum(costs) / len(costs)


def apart(*arguments: str) -> str:
    """The output of this script in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.extraction", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | ONE_THREAD).stdout


def table(path: Path) -> Iterator[str]:
    methods = METHODS[path.stem]
    rate = 8 * path.stat().st_size / (FRAMES / RATE) / 1e6
    seconds = np.array([[float(apart(method, str(path))) for method in methods] for _ in range(ROUNDS)])
    for column, method in enumerate(methods):
        cpu = seconds[:, column]
        ratios = " | ".join(f"{np.median(cpu / other):.2f}" for other in (seconds[:, 0], seconds[:, 1], seconds[:, 2]))
        times = f"{np.median(cpu):.3f} | {cpu.min():.3f}"
        yield f"| {path.stem} ({rate:.1f} Mb/s) | {method} | {times} | {ratios} |"


def run_stages(videos: pl.DataFrame, options: Options) -> Iterator[str]:
    """Run one stage after the other; yields the name of each when it has run."""
    run_augment(videos, 0, options)
    yield "augment"
    for table in (Table.stage2, Table.forensic):
        run_features(videos, {table: options.made / table.name}, options)
        yield f"features={table.name}"
    scaled = run_scale(videos, options)[0].table
    yield "scale"
    run_features(pl.read_parquet(scaled), {Table.stage4: options.made / "stage4"}, options, scaled=True)
    yield "scaled_features"


def workers(rounds: int = 3) -> Iterator[Row]:
    """Each stage over short clips with two workers, beside one; an efficiency of 0.8 is 0.625 of the wall time."""
    costs = defaultdict[tuple[str, int], list[Cost]](list)
    with tempfile.TemporaryDirectory() as folder:
        root = ensure_demo(Path(folder), DemoConfig(events=80, uploads=4, seed=0))
        videos = pl.read_parquet(root / "metadata.parquet")
        for number, count in itertools.product(range(rounds), (1, 2)):
            video = VideoConfig(
                SAMPLING, LIMITS, augmentations=1, max_size=COPY_SIZE, workers=count, retry_failed=False
            )
            before = os.times()
            for stage in run_stages(videos, Options(root, root / f"{number}-{count}", video)):
                now = os.times()
                costs[stage, count].append(Cost(sum(now[:4]) - sum(before[:4]), now[4] - before[4]))
                before = now
    for stage in dict.fromkeys(stage for stage, _ in costs):
        yield Row(f"{stage} of 320 clips, two workers against one", costs[stage, 2], costs[stage, 1], "0.625 x wall")


def main() -> None:
    match sys.argv[1:]:
        case ["workers"]:
            print(*markdown(workers()), sep="\n")
        case [method, source]:
            print(measure(method, Path(source)))
        case _:
            print("decode: every frame, no conversion. selective: only what the sampled frames need. stage2, stage4:")
            print("ours. loops: every frame to RGB and Python loops over the 8x8 blocks of the sampled ones.\n")
            print("| clip | method | CPU s | least | / decode | / selective | / ours (stage2 or stage4) |")
            print("|---|---|---|---|---|---|---|")
            with tempfile.TemporaryDirectory() as folder:
                for name in METHODS:
                    path = Path(folder) / f"{name}.mp4"
                    if name == COPY:
                        scale(path.with_stem(COPIED), path, COPY_SIZE, SAMPLING, LIMITS)
                    else:
                        write_clip(path, *CLIPS[name])
                    for line in table(path):
                        print(line, flush=True)


if __name__ == "__main__":
    main()
