"""The versions that an agent tells: its own, and the Nomad whose clients and job files it understands."""

VERSION = "0.1.0"
NOMAD_VERSION = "2.0.6"
