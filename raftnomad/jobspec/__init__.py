"""A job file becomes a submitted job.

`parse_job` reads HCL and its JSON form, `parse_json_job` the form of the HTTP API; both raise JobFileError. What they
return is not complete: `model.defaults` fills in the rest.
"""

from raftnomad.jobspec.entry import parse_api_job, parse_job, parse_json_job, validate_api_job

__all__ = ["parse_api_job", "parse_job", "parse_json_job", "validate_api_job"]
