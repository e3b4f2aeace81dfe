"""Threads in which LMs are asked by who awaits them, one for each call under way: how many there are is up to who awaits.

DSPy's own asynchronous clients are not asked. asyncio looks names up in another thread, or connects without, and so passes by
what keeps a text from hosts that may not have it (`ner_programs.privacy.connecting`).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[..., T], *args: Any) -> T:
    """Return the result of `work`, which runs in a thread, in a copy of the present context."""
    asked = asyncio.get_running_loop().run_in_executor(_threads(), copy_context().run, work, *args)
    time.sleep(0)  # lets the thread send its request now, not at the end of this one's time slice
    return await asked


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(10_000, thread_name_prefix="nerc-lm")  # made as they are needed


if hasattr(os, "register_at_fork"):  # a forked process (`datasets.map(num_proc=2)`) has none of the threads
    os.register_at_fork(after_in_child=_threads.cache_clear)
