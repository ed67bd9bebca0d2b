"""How fast a job file becomes a tree, beside pygohcl (Go's parser, as a Python package).

    python benchmarks/jobspec.py

The corpus is made here: jobs of several sizes and styles. Prints a table, and as the last line `ratio: N`, our time
over pygohcl's for the whole corpus. pygohcl's time includes making Python values, ours makes a tree with places.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pygohcl

from raftnomad.hcl.diagnostics import Source
from raftnomad.hcl.parser import parse

ROUNDS = 40

SMALL = """
job "cache" {
  datacenters = ["dc1"]
  group "cache" {
    network {
      port "db" {
        to = 6379
      }
    }
    task "redis" {
      driver = "docker"
      config {
        image = "redis:7"
        ports = ["db"]
      }
      resources {
        cpu    = 500
        memory = 256
      }
    }
  }
}
"""

TASK = """
    task "task-{n}" {{
      driver = "docker"   # the usual one
      config {{
        image   = "registry.example/app-{n}:1.2.3"
        command = "/bin/app"
        args    = ["--port", "${{NOMAD_PORT_http}}", "--name=${{NOMAD_TASK_NAME}}", {n}]
        labels  = {{ team = "core", "com.example/n" = "{n}" }}
      }}
      env {{
        ADDR    = "${{attr.unique.network.ip-address}}:${{NOMAD_PORT_http}}"
        LEVEL   = "info"
        WORKERS = {n}
      }}
      template {{
        destination = "local/config-{n}.yml"
        change_mode = "signal"
        change_signal = "SIGHUP"
        data        = <<-EOT
          name: app-{n}
          node: ${{node.unique.name}}
          {{{{ range service "db" }}}}
          - host: {{{{ .Address }}}}
            port: {{{{ .Port }}}}
          {{{{ end }}}}
        EOT
      }}
      service {{
        name     = "app-{n}"
        port     = "http"
        provider = "nomad"
        tags     = ["v1", "urlprefix-/app-{n}"]
        check {{
          type     = "http"
          path     = "/health"
          interval = "10s"
          timeout  = "2s"
        }}
      }}
      resources {{
        cpu    = 200
        memory = 128
      }}
    }}
"""

EXPRESSIONS = """
variable "regions" {{
  type    = list(string)
  default = ["eu", "us"]
}}

locals {{
  names = {{ for i, r in var.regions : r => "${{upper(r)}}-${{i}}" }}
  count = length(var.regions) > 1 ? 3 * {n} : 1
}}

job "expr-{n}" {{
  dynamic "group" {{
    for_each = local.names
    labels   = [group.key]
    content {{
      count = max(1, local.count - 1) % 7
      meta {{
        all = join(",", [for k, v in local.names : "${{k}}=${{v}}" if k != "x"])
        if  = "%{{ if local.count > 2 }}many%{{ else }}few%{{ endif }}"
      }}
    }}
  }}
}}
"""


def large(tasks: int) -> str:
    body = "".join(TASK.format(n=n) for n in range(tasks))
    return f'job "large" {{\n  datacenters = ["dc1", "dc2"]\n  group "all" {{\n    count = 3\n{body}  }}\n}}\n'


CORPUS = {
    "small": SMALL,
    "one task": large(1),
    "ten tasks": large(10),
    "a hundred tasks": large(100),
    "expressions": "".join(EXPRESSIONS.format(n=n) for n in range(20)),
}


def best_ms(function: Callable[[str], object], text: str) -> float:
    """The shortest of several runs, in milliseconds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        function(text)
        times.append(time.perf_counter() - start)
    return min(times) * 1000


def syntax_only(text: str) -> None:
    """pygohcl without evaluating: what it cannot evaluate, it has parsed all the same."""
    try:
        pygohcl.loads(text)
    except pygohcl.HCLInternalError:
        pass


def main() -> None:
    print(f"{'corpus':<18}{'characters':>12}{'raftnomad ms':>14}{'pygohcl ms':>12}{'ratio':>8}")
    ours_total = theirs_total = 0.0
    for name, text in CORPUS.items():
        ours = best_ms(lambda given: parse(Source("job.hcl", given)), text)
        theirs = best_ms(syntax_only, text)
        ours_total += ours
        theirs_total += theirs
        print(f"{name:<18}{len(text):>12}{ours:>14.3f}{theirs:>12.3f}{ours / theirs:>8.2f}")
    print(f"ratio: {ours_total / theirs_total:.2f}")


if __name__ == "__main__":
    main()
