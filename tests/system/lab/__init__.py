# SPDX-License-Identifier: MIT
"""What the system tests are made of: namespaces, the daemon, captures, packets."""
