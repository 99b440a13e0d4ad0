"""nginx in front of scripted peers: one location for each way in which it can answer.

A location is chosen by the service in the path (`/refused/Put`). Temporary files stay
in the supervisor's folder, so any user can run it.
"""

from examples.servers.ports import free_port
from examples.servers.supervisor import Server, Supervisor


_MAIN = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream app {{ server {app}; keepalive 16; }}
  server {{
    listen 127.0.0.1:{port} http2;
    keepalive_requests {keepalive_requests};
    location / {{ grpc_pass grpc://app; }}
    location @grpc {{
      default_type application/grpc;
      add_header grpc-status 14 always;
      add_header grpc-message "no upstream" always;
      return 204;
    }}
{locations}
  }}
  server {{
    listen 127.0.0.1:{plain_port};
  }}
}}
"""


class Nginx:
    """A configuration that grows location by location, then a process.

    Args:
        app: the address that everything without a location of its own goes to.
        keepalive_requests: after so many, nginx says GOAWAY and closes.
    """

    def __init__(self, app: str = "127.0.0.1:1", keepalive_requests: int = 1000):
        self.port, self.plain_port = free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.plain_address = f"127.0.0.1:{self.plain_port}"
        """A listener that speaks HTTP/1.1 only."""
        self._app = app
        self._keepalive_requests = keepalive_requests
        self._locations: list[str] = []

    def location(self, name: str, *directives: str) -> None:
        """Answer the service *name* by nginx *directives*."""
        body = " ".join(f"{directive};" for directive in directives)
        self._locations.append(f"    location /{name}/ {{ {body} }}")

    def start(self, supervisor: Supervisor, program: str) -> Server:
        """Start it, and wait until it listens."""
        path = supervisor.folder / "nginx.conf"
        text = _MAIN.format(
            folder=supervisor.folder,
            app=self._app,
            port=self.port,
            plain_port=self.plain_port,
            keepalive_requests=self._keepalive_requests,
            locations="\n".join(self._locations),
        )
        path.write_text(text)
        argv = [program, "-c", str(path), "-e", "stderr"]
        server = supervisor.server("nginx", argv, port=self.port)
        server.start()
        server.wait_ready()
        return server
