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
        ("MainThread", "/usr/bin/node", "node|--api-key|hush-hush|server.js", "node"),
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


@pytest.mark.parametrize(
    ("executable", "line", "name"),
    [
        ("node", "node|index|mongodb://root:hush@db:27017", "index"),
        ("node", "node|index|--key|abc/HUSH", "index"),
        ("node", "node|.|--db|postgres://u:hush@h", "node"),
        ("node", "node|--watch-path|./src|server.js", "server.js"),
        ("node", "node|--watch|index|abc/HUSH", "index"),
        ("node", "node|--key|abc/HUSH|server.js", "node"),
        ("node", "node|--key|abc/HUSH", "node"),
        ("node", "node|--unheard-of|server.js", "server.js"),
        ("node", "node|--|index|abc/HUSH", "index"),
        ("node", "node|-|abc/HUSH", "node"),
        ("node", "node|mongodb://root:hush@db/x.js", "node"),
        ("node", "node|KEY=abc/HUSH.js", "node"),
        ("node", f"node|{'a' * 65}", "node"),
        ("node", "node index --key abc/HUSH", "index"),
        ("node", "/srv/shop --key abc/HUSH", "shop"),
        ("node", "redis://hush/HUSH", "redis"),
        ("python3", "python3|app|--token|ab/Cd3f", "app"),
        ("python3", "python3|-mhttp.server|80", "http.server"),
        ("python3", "python3|-um|http.server|80", "http.server"),
        ("python3", "python3|-uc|import app|abc/HUSH", "python3"),
        ("python3", "python3|-cimport app|abc/HUSH", "python3"),
        ("python3", "python3|-Wignore|-X|dev|app", "app"),
        ("php", "php|artisan|serve|--key|abc/xyz=", "artisan"),
        ("php", "php|-dmemory_limit=1G|artisan|serve", "artisan"),
        ("php", "php|--|abc/HUSH", "php"),
        ("java", "java|Main|jdbc:x://u:hush@h", "Main"),
        ("java", "java|-server|-Xmx1g|org.shop.Main|abc/HUSH", "Main"),
        ("java", "java|--patch-module|a=b/c|-jar|p.jar", "p.jar"),
        ("java", "java|--module|org.shop/org.shop.Main", "Main"),
        ("ruby", "ruby|-W:no-deprecated|-rset|bin/rails|abc/HUSH", "rails"),
        ("perl", "perl|-we|code|abc/HUSH", "perl"),
        ("perl", "perl|-MData::Dumper|-T|/usr/sbin/munin-node|abc/HUSH", "munin-node"),
        ("bun", "bun|run|start|redis://:hush@h", "start"),
        ("deno", "deno|run|--unheard-of|abc/HUSH", "deno"),
        ("dotnet", "dotnet|run|abc/HUSH", "dotnet"),
        ("dash", "sh|-ec|KEY=hush exec /srv/app|abc/HUSH", "sh"),
        ("dash", "sh|-s|abc/HUSH", "sh"),
        ("bash", "bash|-eo|pipefail|+x|/srv/app|abc/HUSH", "app"),
        ("Rscript", "Rscript|plumber.R", "plumber.R"),
        ("busybox-extras", "/opt/busybox-extras|nc|-l", "nc"),
        ("busybox.static", "busybox.static|httpd|-f", "httpd"),
        ("busybox", "busybox|sh|/srv/app|abc/HUSH", "app"),
    ],
)
def test_no_later_word_becomes_a_name(executable: str, line: str, name: str) -> None:
    """The first word that is no option decides; where that is in doubt, the interpreter gives the name."""
    assert program_name("x", f"/usr/bin/{executable}", line.split("|")) == name
