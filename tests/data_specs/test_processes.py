"""Workers beside each other."""

import concurrent.futures
import multiprocessing
import os

from data_specs.processes import begin_worker


def test_a_worker_takes_no_more_of_a_gpus_memory_than_it_needs(monkeypatch):
    monkeypatch.delenv("XLA_PYTHON_CLIENT_PREALLOCATE", raising=False)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        1, mp_context=context, initializer=begin_worker
    ) as executor:
        assert executor.submit(os.getenv, "XLA_PYTHON_CLIENT_PREALLOCATE").result() == "false"
