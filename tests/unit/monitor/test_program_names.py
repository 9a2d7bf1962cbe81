"""A program is named as people know it, by its executable and its command line."""

import pytest

from slipway.monitor.discovery.program_names import program_name


@pytest.mark.parametrize(
    ("comm", "executable", "line", "name"),
    [
        ("MainThread", "/usr/bin/node", "node|server.js", "server.js"),
        (
            "MainThread",
            "/usr/bin/node",
            "node|--max-old-space-size=100|-r|./env.js|/srv/app/api.mjs",
            "api.mjs",
        ),
        ("MainThread", "/usr/bin/node", "node|/usr/lib/node_modules/n8n/bin/n8n|start", "n8n"),
        ("MainThread", "/usr/bin/node", "node", "node"),
        ("MainThread", "/usr/bin/node", "node|-e|code.js", "node"),
        ("MainThread", "/usr/bin/node", "node|--api-key|hush-hush|server.js", "server.js"),
        ("node /srv/api.j", "/usr/bin/node", "node /srv/api.js", "api.js"),
        ("MainThread", "/opt/n24/bin/node", "", "node"),
        ("next-server (v1", "/usr/bin/node", "next-server (v14.1.0)", "next-server"),
        ("python3", "/usr/bin/python3.11", "python3|-m|http.server|8000", "http.server"),
        ("python3", "/usr/bin/python3.11", "/opt/venv/bin/python3|-u|manage.py|runserver", "manage.py"),
        ("python", "/usr/bin/python3.11", "./venv/bin/python|app.py", "app.py"),
        ("python3", "/usr/bin/python3.11", "/my app/bin/python3|/my app/shop.py", "shop.py"),
        ("ruby", "/usr/bin/ruby3.1", "unicorn master -c /etc/unicorn.rb", "unicorn"),
        ("java", "/usr/lib/jvm/bin/java", "java|Server.java", "Server.java"),
        ("python3", "/usr/bin/python3.11", "python3|-c|import app.py", "python3"),
        ("uvicorn", "/usr/bin/python3.11", "/usr/bin/python3|/usr/local/bin/uvicorn|app:app", "uvicorn"),
        ("gunicorn: maste", "/usr/bin/python3.11", "gunicorn: master [app:app]", "gunicorn"),
        ("celery", "/usr/bin/python3.11", "[celeryd: worker@host:MainProcess]", "celeryd"),
        ("nginx", "/usr/sbin/nginx", "nginx: master process /usr/sbin/nginx", "nginx"),
        (
            "java",
            "/usr/lib/jvm/bin/java",
            "java|-Xmx1g|-cp|/a.jar:/b.jar|org.elasticsearch.Elasticsearch",
            "Elasticsearch",
        ),
        (
            "java",
            "/usr/lib/jvm/bin/java",
            "/usr/bin/java|-Dx=/y.z|-jar|/opt/jenkins.war|--port=80",
            "jenkins.war",
        ),
        ("ruby", "/usr/bin/ruby3.1", "puma 6.4.2 (tcp://0.0.0.0:9292)", "puma"),
        ("rails", "/usr/bin/ruby3.1", "ruby|bin/rails|server", "rails"),
        ("deno", "/usr/bin/deno", "deno|run|--allow-net|main.ts", "main.ts"),
        ("bun", "/usr/bin/bun", "bun|run|src/index.ts", "index.ts"),
        ("dotnet", "/usr/bin/dotnet", "dotnet|/app/Shop.dll", "Shop.dll"),
        ("php", "/usr/bin/php8.2", "php|artisan.php|serve", "artisan.php"),
        ("php", "/usr/bin/php8.2", "php|-S|0.0.0.0:8000|-t|/srv/www", "php"),
        ("app", "/bin/busybox", "/bin/sh|/usr/local/bin/app", "app"),
        ("httpd", "/bin/busybox", "httpd|-f|-p|80", "httpd"),
        ("busybox", "/bin/busybox", "/bin/busybox|httpd|-f", "httpd"),
        ("prometheus-node", "/usr/bin/prometheus-node-exporter", "x", "prometheus-node-exporter"),
        ("bash", "/usr/bin/bash", "-bash", "bash"),
        ("kthread", "", "", "kthread"),
    ],
)
def test_program_is_named(comm: str, executable: str, line: str, name: str) -> None:
    """After what an interpreter runs, else after the executable; a thread's name says least."""
    arguments = line.split("|") if line else []

    assert program_name(comm, executable, arguments) == name
