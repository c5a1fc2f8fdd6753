"""Memory does not grow with the number of images, while predicting and while tuning."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

if not Path("/proc/self/status").is_file():
    pytest.skip("the peak memory of a process is read from /proc", allow_module_level=True)

# Few images come first, so that everything that is made once counts there; twice, since the second round still adds
# some 20 MB and the third nothing. A peak can then only rise by what more images need. Keeping all of them at the end
# shows that the measurement would have seen it.
SCRIPT = """
import json, sys, tempfile
from pathlib import Path
import numpy as np, torch
from PIL import Image
from calibrant.data.evaluation_set import EvaluationSet
from calibrant.models.feature_cache import FeatureCache
from calibrant.models.tiny import load_tiny
from calibrant.predict import predict
from calibrant.tuning.fitting import fit
from calibrant.tuning.recipe import load_recipe

class Files:
    def __init__(self, paths): self.paths = paths
    def __len__(self): return len(self.paths)
    def __getitem__(self, index): return np.asarray(Image.open(self.paths[index]).convert("RGB"))

def peak():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024

def some(count):
    labels, ids, files = np.arange(count) % 2, [str(i) for i in range(count)], Files(paths[:count])
    return EvaluationSet("noise", "train", files, labels, ["cat", "dog"], ["a {}."], ids, fingerprint=str(count))

def work(count):
    images = some(count)
    cached = fit(encoder, images, cached_views, cache=FeatureCache(folder / "cache"), progress=False)
    fit(encoder, images, live, progress=False)
    predict(cached, images, batch_size=16)

torch.set_num_threads(1)
folder, few, many = Path(sys.argv[1]), 40, 200
paths = [folder / f"{i}.png" for i in range(many)]
for i, path in enumerate(paths):
    Image.new("RGB", (640, 640), (i, 0, 0)).save(path, compress_level=1)
encoder = load_tiny(random_initialisation=True)
settings = {"solver.steps": 2, "solver.batch_size": 16}
cached_views = load_recipe("coop", {**settings, "solver.views": 2}, "tiny")
live = load_recipe("coop", {**settings, "solver.views": "live"}, "tiny")
peaks = {}
work(few); work(few); peaks["few"] = peak()
work(many); peaks["many"] = peak()
images = Files(paths)
kept = [images[i].copy() for i in range(many)]; peaks["kept"] = peak()
print(json.dumps(peaks))
"""


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    source = str(Path(__file__).parents[1] / "src")
    environment = {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    peaks = json.loads(done.stdout)
    megabytes = 200 * 640 * 640 * 3 / 2**20
    assert peaks["many"] - peaks["few"] < megabytes / 6, "160 more images must not cost what 33 of them take"
    assert peaks["kept"] - peaks["many"] > megabytes / 2, "this measurement would not notice kept images"
