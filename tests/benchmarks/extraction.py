"""CPU time and memory of feature extraction against a plain decode and against a straightforward extractor.

Run ``python -m tests.benchmarks.extraction``; it makes its own clips and prints a markdown table. Each method runs in
a process of its own with one thread, the methods take turns, and the best of the turns counts.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from fvc_exp.config import LimitsConfig, SamplingConfig, Table
from fvc_exp.features.extract import extract
from fvc_exp.video.sample import sample_indices

SAMPLING = SamplingConfig(fraction=0.1, min_frames=5, max_frames=50)
LIMITS = LimitsConfig(max_pixels=8_847_360, cpu_seconds=600, wall_seconds=600, memory_mb=4000)
TURNS = 3
FRAMES = 300
RATE = 30
SIZES = {"1080p": (1080, 1920), "720p": (720, 1280), "256x256": (256, 256)}
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Cost:
    """CPU seconds of a method, and the peak memory of its process, imports included, in MB."""

    cpu: float
    memory: float


def scene(height: int, width: int) -> Iterator[NDArray[np.uint8]]:
    """A camera drifting over textures of all sizes, one object crossing, and sensor noise."""
    random = np.random.default_rng(0)
    margin = height // 6
    canvas = np.zeros((height + 2 * margin, width + 2 * margin, 3), np.float32)
    for scale in (1.5, 6, 24):
        field = random.standard_normal(canvas.shape, dtype=np.float32)
        canvas += cv2.GaussianBlur(field, (0, 0), scale) * scale**1.2
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


def write_clip(path: Path, height: int, width: int) -> None:
    options = {"threads": "1", "preset": "fast", "crf": "23", "x264-params": "bframes=3:cpu-independent=1:mbtree=0"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for frame in scene(height, width):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def plain_decode(path: Path) -> int:
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        return sum(1 for _ in container.decode(video=0))


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


def straightforward(path: Path, *, is_stage4: bool, counts_by_decoding: bool, collections: int) -> list[float]:
    """Decode all frames to RGB and loop over 8x8 blocks; optionally count frames by a decode of their own."""
    with av.open(str(path)) as container:
        total = plain_decode(path) if counts_by_decoding else container.streams.video[0].frames
        container.streams.video[0].thread_count = 1
        wanted = set(sample_indices(total, SAMPLING))
        rows = []
        for index, frame in enumerate(container.decode(video=0)):
            rgb = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
            if index not in wanted:
                continue
            gray = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
            rows.append(straightforward_frame(gray) + (straightforward_added(gray, rgb) if is_stage4 else []))
            for _ in range(collections):
                gc.collect()
    return [float(value) for value in np.mean(rows, axis=0)]


METHODS: dict[str, Callable[[Path], object]] = {
    "decode": plain_decode,
    "stage2": lambda path: extract(path, [Table.stage2], SAMPLING, LIMITS),
    "stage4": lambda path: extract(path, [Table.stage4], SAMPLING, LIMITS),
    "forensic": lambda path: extract(path, [Table.forensic], SAMPLING, LIMITS),
    "loops2": lambda path: straightforward(path, is_stage4=False, counts_by_decoding=False, collections=0),
    "loops4": lambda path: straightforward(path, is_stage4=True, counts_by_decoding=False, collections=0),
    "original2": lambda path: straightforward(path, is_stage4=False, counts_by_decoding=True, collections=10),
    "original4": lambda path: straightforward(path, is_stage4=True, counts_by_decoding=True, collections=10),
}
SLOW = {"loops2", "loops4", "original2", "original4"}


def measure(method: str, path: Path) -> Cost:
    """In this process: the best of two runs for fast methods, whose first pays for start-up; one for slow ones."""
    cv2.setNumThreads(1)
    seconds = []
    for _ in range(1 if method in SLOW else 2):
        start = time.process_time()
        METHODS[method](path)
        seconds.append(time.process_time() - start)
    return Cost(min(seconds), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def apart(*arguments: str) -> str:
    """The output of this script in a process of its own.

    The peak memory of a child counts from its parent's, so this process must stay small.
    """
    command = [sys.executable, "-m", "tests.benchmarks.extraction", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | ONE_THREAD).stdout


def table(path: Path, name: str, methods: list[str]) -> Iterator[str]:
    best: dict[str, Cost] = {}
    for turn in range(TURNS):
        for method in methods:
            if turn and method in SLOW:
                continue
            cost = Cost(**json.loads(apart(method, str(path))))
            known = best.get(method, cost)
            best[method] = Cost(min(known.cpu, cost.cpu), max(known.memory, cost.memory))
    fast = "stage4" if name == "256x256" else "stage2"
    for method, cost in best.items():
        against = f"{cost.cpu / best['decode'].cpu:.2f} | {cost.cpu / best[fast].cpu:.1f}"
        yield f"| {name} | {method} | {cost.cpu:.3f} | {against} | {cost.memory:.0f} |"


def main() -> None:
    match sys.argv[1:]:
        case ["write", name, target]:
            write_clip(Path(target), *SIZES[name])
            return
        case [method, source]:
            print(json.dumps(asdict(measure(method, Path(source)))))
            return
    print("decode: every frame, no conversion. loops: RGB and a Python loop over blocks. original: loops, with frames")
    print("counted by decoding and 10 garbage collections a sampled frame. ours: stage2, stage4, forensic.\n")
    print("| clip | method | CPU s | / decode | / ours (stage2; stage4 at 256x256) | peak MB |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in SIZES:
            path = Path(folder) / f"{name}.mp4"
            apart("write", name, str(path))
            number = 4 if name == "256x256" else 2
            methods = ["decode", f"stage{number}", "forensic", f"loops{number}", f"original{number}"]
            rate = path.stat().st_size * 8 * RATE / FRAMES / 1e6
            for line in table(path, f"{name}, {rate:.1f} Mbit/s" if number == 2 else name, methods):
                print(line, flush=True)


if __name__ == "__main__":
    main()
