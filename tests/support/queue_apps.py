"""Apps with queues, as people write them: Django with Celery, and RQ.

Each job writes its number to a file when it begins and when it ends. So does the scheduler, which
refuses to run twice. The file and the queue are named in the environment.
"""

JOURNAL = '''\
"""Who did what when, in a file that all write to."""

import fcntl
import os
import sys


def note(*words):
    line = " ".join(map(str, [*words, os.getpid()])) + "\\n"
    file = os.open(os.environ["JOBS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, line.encode())
    os.close(file)


def lock():
    """Be the only scheduler, or fail loudly."""
    global _held
    _held = open(os.environ["JOBS"] + ".lock", "w")
    try:
        fcntl.flock(_held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note("twice", "scheduler")
        sys.exit("another scheduler runs")
    note("alone", "scheduler")
'''

DJANGO = {
    "journal.py": JOURNAL,
    "shop/__init__.py": "from shop.celery import app\n",
    "shop/settings.py": """\
SECRET_KEY = "for tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop.urls"
USE_TZ = True
""",
    "shop/celery.py": """\
import os

from celery import Celery
from celery.signals import beat_init

import journal

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
app = Celery("shop", broker=os.environ["BROKER"], include=["shop.tasks"])
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_hijack_root_logger = False
app.conf.beat_schedule = {"tick": {"task": "shop.tasks.tick", "schedule": 1.0}}


@beat_init.connect
def only_once(**_):
    journal.lock()
""",
    "shop/tasks.py": """\
import time

import journal
from shop.celery import app


@app.task
def job(number, seconds):
    journal.note("begin", number)
    time.sleep(seconds)
    journal.note("end", number)


@app.task
def tick():
    journal.note("tick", 0)
""",
    "shop/urls.py": """\
from django.http import HttpResponse
from django.urls import path

from shop.tasks import job


def add(request, number):
    job.delay(number, float(request.GET["seconds"]))
    return HttpResponse("added")


urlpatterns = [
    path("healthz", lambda request: HttpResponse("well")),
    path("add/<int:number>", add),
]
""",
    "shop/wsgi.py": """\
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
""",
}

RQ = {
    "journal.py": JOURNAL,
    "jobs.py": """\
import os
import time

import journal


def job(number, seconds):
    journal.note("begin", number)
    time.sleep(seconds)
    while os.path.exists(os.environ["JOBS"] + ".wait"):
        time.sleep(0.02)
    journal.note("end", number)


def tick():
    journal.note("tick", 0)
""",
    "scheduler.py": """\
import os
import signal
import sys
import time

from redis import Redis
from rq import Queue

import journal

signal.signal(signal.SIGTERM, lambda *_: sys.exit())
journal.lock()
queue = Queue(connection=Redis.from_url(os.environ["BROKER"]))
while True:
    queue.enqueue("jobs.tick")
    time.sleep(1)
""",
    "worker.py": """\
import os

from redis import Redis
from rq import Queue, Worker

connection = Redis.from_url(os.environ["BROKER"])
Worker([Queue(connection=connection)], connection=connection).work()
""",
    "web.py": '''\
"""Adds a job for each request."""

import os
from urllib.parse import parse_qs

from redis import Redis
from rq import Queue

queue = Queue(connection=Redis.from_url(os.environ["BROKER"]))


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    path = environ["PATH_INFO"]
    if path.startswith("/add/"):
        seconds = float(parse_qs(environ["QUERY_STRING"])["seconds"][0])
        queue.enqueue("jobs.job", int(path.removeprefix("/add/")), seconds)
    return [b"added"]
''',
}
