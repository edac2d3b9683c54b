# SPDX-License-Identifier: MIT
"""A client that uses the package mtrpacket; run by the Python of build/venv, for test_clients.py.

One job as JSON on stdin, {"do": name, ...}; its result as JSON on stdout.
"""

import asyncio
import json
import os
import signal
import sys

import mtrpacket


async def probe(mtr, host, arguments):
    return (await mtr.probe(host, **arguments))._asdict()


async def probes(probes):
    """All at once; the results in their order."""
    async with mtrpacket.MtrPacket() as mtr:
        return await asyncio.gather(*(probe(mtr, host, arguments) for host, arguments in probes))


async def support(features):
    async with mtrpacket.MtrPacket() as mtr:
        return [await mtr.check_support(feature) for feature in features]


async def cancel(silent, host):
    """Gives up a probe that waits; then another one."""
    async with mtrpacket.MtrPacket() as mtr:
        task = asyncio.ensure_future(mtr.probe(silent, timeout=1))
        await asyncio.sleep(0.2)
        task.cancel()
        outcome = await asyncio.gather(task, return_exceptions=True)
        after = [await probe(mtr, host, {})]
        await asyncio.sleep(1.2)  # the daemon answers the probe that nobody waits for
        after.append(await probe(mtr, host, {}))
        return [isinstance(outcome[0], asyncio.CancelledError), after]


async def killed(silent):
    """The process goes while probes wait for it; what each of them raises, and a probe after that. MTR_PACKET must
    begin with exec, or the process is the shell around the daemon."""
    async with mtrpacket.MtrPacket() as mtr:
        tasks = [asyncio.ensure_future(mtr.probe(silent)) for _ in range(10)]
        await asyncio.sleep(0.2)
        os.kill(mtr.process.pid, signal.SIGKILL)
        errors = await asyncio.gather(*tasks, return_exceptions=True)
        errors += await asyncio.gather(mtr.probe(silent), return_exceptions=True)
        return [type(error).__name__ for error in errors]


async def broken():
    """A daemon that can't start."""
    try:
        async with mtrpacket.MtrPacket():
            return "opened"
    except mtrpacket.ProcessError:
        return "ProcessError"


JOBS = {function.__name__: function for function in (probes, support, cancel, killed, broken)}

if __name__ == "__main__":
    job = json.load(sys.stdin)
    print(json.dumps(asyncio.run(JOBS[job.pop("do")](**job))))
