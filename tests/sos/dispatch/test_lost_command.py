"""``sos lost`` against a LoST server over loopback, as a person at a terminal sees it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from routing.boundaries import PrefectureLayer
from routing.directory import Directory
from routing.lost.areas import Areas
from routing.lost.civic import Gazetteer
from routing.lost.codec import read_answer, read_request, write_answer
from routing.lost.messages import FindServiceResponse
from routing.lost.server import Sources, answer
from sos.cli import app
from tests.conftest import NEW_YEAR


@pytest.fixture(scope="module")
def url():
    layer = PrefectureLayer.load()
    sources = Sources(
        layer=layer,
        directory=Directory.demo(),
        gazetteer=Gazetteer(layer.names),
        areas=Areas(layer),
        source="lost.sos.example",
        updated=NEW_YEAR,
    )

    class Server(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = read_request(self.rfile.read(int(self.headers["Content-Length"])))
            partner = self.headers.get("Authorization") == "Bearer acme"
            body = write_answer(answer(asked, sources, now=NEW_YEAR, partner=partner))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/lost"
        server.shutdown()


def run(*arguments):
    return CliRunner().invoke(app, ["lost", *arguments], env={"COLUMNS": "200", "SOS_KEY": ""})


def test_a_person_reads_who_answers(url):
    seen = run("35.69", "139.70", "--service", "sos.police", "--url", url, "--key", "acme")

    assert seen.exit_code == 0, seen.output
    assert "Demo Tokyo" in seen.output
    assert "tel:+8135550" in seen.output
    assert "110" in seen.output


def test_a_program_reads_json_and_a_colleague_the_wire(url):
    told = json.loads(run("35.69", "139.70", "--uncertainty-m", "500", "--json", "--url", url).output)
    wire = run("35.69", "139.70", "--xml", "--boundary", "--url", url).output.encode()

    assert told["mappings"][0]["number"] == "119"
    assert isinstance(read_answer(wire.strip()), FindServiceResponse)


def test_a_negative_place_is_a_place_and_an_impossible_one_a_mistake(url):
    assert run("-33.9", "18.4", "--url", url).exit_code == 0
    assert run("95", "139.7", "--url", url).exit_code == 2
    assert run("35", "139", "--uncertainty-m", "nan", "--url", url).exit_code == 2


def test_an_error_and_no_server_are_failures_of_the_command(url):
    assert run("35", "139", "--service", "counseling", "--url", url).exit_code == 1
    seen = run("35", "139", "--url", "http://127.0.0.1:9/lost")
    assert seen.exit_code == 1
    assert "unreachable" in seen.output
