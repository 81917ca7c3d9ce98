"""Tries the console page of a running server in headless Chromium.

Needs selenium from PyPI and Debian's chromium and chromium-driver.
Run: python3 console_page.py BASE_URL SCREENSHOT.png [--dark] [--key KEY]
"""

import argparse
import shutil
import time

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from checks import Checks, expect

OBSERVE = """
window.lengths = [];
const note = () => {
  const all = document.querySelectorAll('.message.assistant .text');
  const length = all.length ? all[all.length - 1].textContent.length : 0;
  if (length !== window.lengths.at(-1)) { window.lengths.push(length); }
  if (length > 0 && window.stopAtFirstText) {
    window.stopAtFirstText = false;
    document.getElementById('send').click();
  }
};
new MutationObserver(note).observe(document.getElementById('messages'), { childList: true, subtree: true });
"""

# The bundled model can be done before a click, on a busy machine always: here it writes to the end of its context.
ENDLESS = """
const send = window.fetch;
window.fetch = (url, options) => {
  if (options?.body) {
    options = { ...options, body: JSON.stringify({ ...JSON.parse(options.body), ignore_eos: true }) };
  }
  return send(url, options);
};
window.makeFinite = () => { window.fetch = send; };
"""


class Page:
    def __init__(self, url, key, is_dark):
        options = webdriver.ChromeOptions()
        for argument in ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1100,820"]:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # Named, so that selenium does not look for a browser on the network.
        options.binary_location = shutil.which("chromium") or shutil.which("chromium-browser") or ""
        service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
        self.driver = webdriver.Chrome(options=options, service=service)
        if is_dark:
            self.driver.execute_cdp_cmd(
                "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
        self.driver.get(url)
        if key:
            self.script("sessionStorage.setItem('apus.key', arguments[0])", key)
            self.driver.refresh()
        self.script(OBSERVE)

    def script(self, source, *arguments):
        return self.driver.execute_script(source, *arguments)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def wait(self, condition, what, seconds=60):
        WebDriverWait(self.driver, seconds, 0.02).until(lambda _: condition(), f"{what}: not within {seconds} s")

    def is_idle(self):
        return self.find("#send").text == "Send" and not self.all(".running")

    def type(self, text):
        prompt = self.find("#prompt")
        if len(text) < 500:
            prompt.send_keys(text)
        else:
            self.script("arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))", prompt, text)
        return prompt

    def limit(self, tokens):
        """Sets the longest answer: some models never end by themselves."""
        self.script(
            "const f = document.getElementById('max_tokens'); f.value = arguments[0]; f.dispatchEvent(new Event('change'))",
            tokens)

    def send(self, text):
        self.type(text).send_keys(Keys.ENTER)

    def ask(self, text):
        self.send(text)
        self.wait(self.is_idle, "the answer's end")

    def problem(self):
        self.wait(lambda: self.all(".problem strong"), "an error message")
        return self.find(".problem").get_attribute("data-code"), self.find(".problem strong").text

    def new_chat(self):
        self.find("#clear").click()
        self.wait(lambda: not self.all(".message"), "an empty conversation")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("screenshot")
    parser.add_argument("--key", default="")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--trace", action="store_true")
    arguments = parser.parse_args()
    checks = Checks()
    page = Page(arguments.url, arguments.key, arguments.dark)
    try:
        run(checks, page, arguments.screenshot)
    finally:
        page.driver.quit()
    checks.finish()


def run(checks, page, screenshot):
    def loads():
        expect(page.driver.title == "Apus", f"the title is {page.driver.title!r}")
        page.wait(lambda: page.find("#state").get_attribute("data-state") == "ready", "the ready state")
        models = page.script("return [...document.querySelectorAll('#model option')].map(o => o.value)")
        expect(models, "no model is listed")
        expect(page.find("#send").get_attribute("disabled"), "an empty message can be sent")
        page.limit("48")

    def streams():
        # A browser that waits for the processor finds a whole short answer at once: then the next try counts.
        for _ in range(8):
            page.new_chat()
            page.script("window.lengths = []")
            page.ask("Hello! Who are you?")
            expect(page.all(".message.user")[-1].text == "Hello! Who are you?", "the question is not shown")
            answer = page.all(".message.assistant .text")[-1].text
            expect(answer.strip(), "the answer is empty")
            lengths = page.script("return window.lengths.filter(length => length > 0)")
            expect(lengths == sorted(lengths), f"the answer did not grow: {lengths}")
            if len(lengths) > 1:
                break
        expect(len(lengths) > 1, f"the answer did not come piece by piece: {lengths}")
        figures = page.all(".figures")[-1].text
        expect("token" in figures and "ms" in figures and "in the prompt" in figures, f"the figures are {figures!r}")

    def keeps_turns():
        page.ask("And what else?")
        expect(len(page.all(".message.user")) == 2 and len(page.all(".message.assistant")) == 2, "a turn is missing")

    def makes_lines():
        prompt = page.type("one")
        prompt.send_keys(Keys.SHIFT, Keys.ENTER)
        prompt.send_keys("two")
        expect(prompt.get_attribute("value") == "one\ntwo", "Shift+Enter does not make a line")
        expect(page.is_idle(), "Shift+Enter sends")
        page.script("arguments[0].value = ''; arguments[0].dispatchEvent(new Event('input'))", prompt)

    def stops(how):
        page.limit("")
        page.script(ENDLESS)
        try:
            is_stopped(how)
        finally:
            page.script("window.makeFinite()")
            page.limit("48")

    def is_stopped(how):
        # It can still be done before the click: then the next try counts.
        for _ in range(8):
            page.new_chat()
            page.script("window.stopAtFirstText = arguments[0]", how == "button")
            page.send("Tell me a long story about a lighthouse, with as many words as you can.")
            if how == "Escape":
                page.wait(lambda: page.all(".message.assistant .text") or page.is_idle(), "the answer's start")
                page.find("body").send_keys(Keys.ESCAPE)
            page.wait(page.is_idle, "the answer's end")
            time.sleep(0.05)
            if not page.all(".figures") or "stopped" in page.all(".figures")[-1].text:
                return expect(not page.all(".problem"), "stopping shows an error")
        raise AssertionError("the answer was never stopped")

    def stays_text():
        page.new_chat()
        page.ask("<img src=x onerror='window.injected = 1'><b id=bold>bold</b>")
        expect(page.script("return window.injected") is None, "a script in a message ran")
        expect(not page.all("#messages img") and not page.all("#bold"), "a message became HTML")

    def explains_model():
        page.new_chat()
        page.script("const s = document.getElementById('model'); s.append(new Option('no-such-model')); s.value = 'no-such-model'")
        page.ask("Hello")
        code, words = page.problem()
        expect(code == "model_not_found", f"the code is {code}")
        expect("does not have this model" in words, f"the words are {words!r}")
        page.script("const s = document.getElementById('model'); s.lastChild.remove(); s.selectedIndex = 0")

    def recovers():
        page.find(".problem button").click()
        page.wait(lambda: page.is_idle() and page.all(".message.assistant"), "an answer after trying again")
        expect(not page.all(".problem"), "the error stays")

    def explains_length():
        page.new_chat()
        page.ask("word " * 200_000)
        code, words = page.problem()
        expect(code == "context_length_exceeded", f"the code is {code}")
        expect("too long" in words, f"the words are {words!r}")

    def keeps_settings():
        page.find("#open-settings").click()
        page.wait(lambda: page.find("#settings").is_displayed(), "the settings")
        page.find("#temperature").send_keys("0.2", Keys.TAB)
        page.find("#settings button[value=close]").click()
        page.wait(lambda: not page.find("#settings").is_displayed(), "the settings' end")
        expect(page.script("return JSON.parse(requestBody()).temperature") == 0.2, "the temperature is not sent")

    def pictures():
        page.new_chat()
        page.ask("Hello! Who are you?")
        page.ask("How do I stream an answer with curl?")
        expect(page.driver.save_screenshot(screenshot), "no screenshot was written")

    def is_quiet():
        lines = [line["message"] for line in page.driver.get_log("browser") if line["level"] == "SEVERE"]
        # Refused requests are logged by the browser itself.
        lines = [line for line in lines if "the server responded with a status of 4" not in line]
        expect(not lines, f"the browser's log has {lines}")

    checks.run("the page loads, shows the server's state and its models", loads)
    checks.run("an answer streams and is measured", streams)
    checks.run("a second turn follows the first", keeps_turns)
    checks.run("Shift+Enter makes a line", makes_lines)
    checks.run("the stop button stops the answer", lambda: stops("button"))
    checks.run("Escape stops the answer", lambda: stops("Escape"))
    checks.run("messages stay text", stays_text)
    checks.run("an unknown model is explained", explains_model)
    checks.run("trying again works", recovers)
    checks.run("a prompt that is too long is explained", explains_length)
    checks.run("settings are kept and sent", keeps_settings)
    checks.run("a conversation is pictured", pictures)
    checks.run("the browser's log is quiet", is_quiet)


main()
