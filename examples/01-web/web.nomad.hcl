# A small web page, three copies of it, each on a port that the scheduler picks. Needs Python 3 and nothing else.
variable "greeting" {
  type    = string
  default = "Hello from raftnomad"
}

job "web" {
  group "web" {
    count = 3

    network {
      port "http" {}
    }

    update {
      max_parallel      = 1
      min_healthy_time  = "2s"
      healthy_deadline  = "1m"
      progress_deadline = "2m"
    }

    task "page" {
      driver = "raw_exec"

      config {
        command = "/bin/sh"
        args    = ["-c", "mkdir -p local/page && echo \"$GREETING, copy $NOMAD_ALLOC_INDEX\" > local/page/index.html && exec python3 -m http.server -d local/page -b \"$NOMAD_IP_http\" \"$NOMAD_PORT_http\""]
      }

      env {
        GREETING = var.greeting
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
