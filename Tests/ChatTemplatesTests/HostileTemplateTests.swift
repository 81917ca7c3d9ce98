import Foundation
import JSON
import TestSupport
import Testing

@testable import ChatTemplates

/// Templates that try to use up stack, time or memory: each ends with an error that names the limit.
///
/// All run on a thread with 512 KiB of stack, as small as any that renders templates, in whatever configuration the
/// tests are built.
@Suite struct HostileTemplateTests {
    /// What came of rendering on a small stack: the text or the error.
    private func renderOnSmallStack(
        _ source: String, messages: JSONValue = .array([]), limits: TemplateLimits = TemplateLimits()
    ) -> Result<String, TemplateError> {
        let outcome = Outcome()
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            do throws(TemplateError) {
                let template = try ChatTemplate(source: source, limits: limits)
                let context = TemplateContext(messages: messages, now: TemplateGoldens.now)
                outcome.result = .success(try template.render(context, limits: limits))
            } catch {
                outcome.result = .failure(error)
            }
            done.signal()
        }
        thread.stackSize = 512 << 10
        thread.start()
        done.wait()
        return outcome.result
    }

    private final class Outcome: @unchecked Sendable {
        // Written before the semaphore is signalled, read after it.
        var result: Result<String, TemplateError> = .success("")
    }

    /// The limit that stopped a rendering; nil when something else came of it.
    private func limit(of result: Result<String, TemplateError>) -> String? {
        guard case .failure(.limitExceeded(let limit, _, _)) = result else { return nil }
        return limit
    }

    /// `middle` inside `count` pairs of `open` and `close`.
    private static func nest(_ open: String, _ middle: String, _ close: String, _ count: Int) -> String {
        String(repeating: open, count: count) + middle + String(repeating: close, count: count)
    }

    private static let brackets: [(open: String, middle: String, close: String)] = [
        ("(", "1", ")"), ("[", "1", "]"), ("{1: ", "1", "}"), ("(1 + ", "1", ")"), ("- ", "1", ""), ("not ", "1", ""),
        ("1 if 1 else ", "1", ""), ("x[", "1", "]"), ("range(", "1", ")"),
        ("(1 or 0 and not 1 in [1 ~ 2 * ", "1", "])"),
        ("1 | default(", "1", ")"), ("1 is eq(", "1", ")"), ("[1] | map(", "1", ")"), ("namespace(a=", "1", ")"),
    ]

    @Test func `formulas nested without end are refused`() {
        for (open, middle, close) in Self.brackets {
            for count in [100, 3_000] {
                let result = renderOnSmallStack("{{ " + Self.nest(open, middle, close, count) + " }}")
                #expect(limit(of: result) == "levels of nesting", "\(open) × \(count)")
            }
        }
    }

    /// The deepest that each limit lets through must not touch the end of the stack: whatever comes, it comes back.
    @Test func `formulas at the limit come back`() {
        for (open, middle, close) in Self.brackets {
            for count in 20...64 {
                _ = renderOnSmallStack("{{ " + Self.nest(open, middle, close, count) + " }}")
            }
        }
    }

    @Test(arguments: [
        "{% if 1 %}|{% endif %}", "{% for i in [1] %}|{% endfor %}", "{% filter upper %}|{% endfilter %}",
        "{% set x %}|{% endset %}", "{% with %}|{% endwith %}", "{% macro m() %}|{% endmacro %}{{ m() }}",
        "{% generation %}|{% endgeneration %}", "{% call f() %}|{% endcall %}",
    ])
    func `blocks nested without end are refused`(block: String) {
        let parts = block.split(separator: "|").map(String.init)
        for count in [100, 3_000] {
            let result = renderOnSmallStack(Self.nest(parts[0], "x", parts[1], count))
            #expect(limit(of: result) == "levels of nesting")
        }
        for count in 20...64 {
            _ = renderOnSmallStack(
                "{% macro f() %}{{ caller() }}{% endmacro %}" + Self.nest(parts[0], "x", parts[1], count))
        }
    }

    @Test(arguments: [
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f(a=f()) %}{{ a }}{% endmacro %}{{ f() }}",
        "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}",
        "{% macro f() %}{% call f() %}x{% endcall %}{{ caller() }}{% endmacro %}{% call f() %}y{% endcall %}",
        "{% macro f(n) %}{% for i in [1] if f(n) %}x{% endfor %}{% endmacro %}{{ f(1) }}",
        "{% macro f() %}{% set x = ['%s' % f()] | map('upper') | join %}{% endmacro %}{{ f() }}",
        "{% macro f() %}{{ {'a': [1 + (f() | length)]} | tojson }}{% endmacro %}{{ f() }}",
        "{% macro f() %}{% filter upper %}{{ '{}'.format(f()) }}{% endfilter %}{% endmacro %}{{ f() }}",
        "{% set ns = namespace() %}{% macro f() %}{{ ns.f() }}{% endmacro %}{% set ns.f = f %}{{ f() }}",
        "{% macro f(x) %}{{ x[f(x):f(x)] }}{% endmacro %}{{ f('a') }}",
    ])
    func `macros that call themselves without end are stopped`(source: String) {
        #expect(limit(of: renderOnSmallStack(source)) == "levels of depth")
    }

    @Test(arguments: ["x | tojson", "x", "x == y", "[x] | sort", "x < y", "x | tojson(indent=2)", "x in [y]"])
    func `values nested without end are refused, and the deepest ones can be used`(use: String) {
        func source(_ count: Int) -> String {
            """
            {% set ns = namespace(x=[], y=[]) %}{% for i in range(\(count)) %}{% set ns.x = [ns.x] %}\
            {% set ns.y = [ns.y] %}{% endfor %}{% set x = ns.x %}{% set y = ns.y %}{{ \(use) }}
            """
        }
        #expect(limit(of: renderOnSmallStack(source(10_000))) == "lists and maps inside each other")
        for count in 50..<63 { #expect(throws: Never.self) { try renderOnSmallStack(source(count)).get() } }
        // The same at the bottom of a recursion: whatever comes, it comes back.
        for count in [30, 60] {
            let recursion =
                "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{% else %}\(source(count)){% endif %}{% endmacro %}"
            for depth in 1...22 { _ = renderOnSmallStack(recursion + "{{ f(\(depth)) }}") }
        }
    }

    @Test func `messages nested too deep are refused`() throws {
        let json = try JSONValue.parse(Self.nest("[", "1", "]", 120))
        let result = renderOnSmallStack("{{ messages }}", messages: json)
        #expect(limit(of: result) == "lists and maps inside each other" || limit(of: result) == "levels of depth")
    }

    @Test(arguments: [
        ("{% for i in range(10**9) %}{% endfor %}", "items of a range"),
        ("{{ range(-9223372036854775807, 9223372036854775807) }}", "items of a range"),
        ("{{ range(9223372036854775807, -9223372036854775807, -1) }}", "items of a range"),
        ("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", "steps"),
        ("{% macro f(n) %}{{ f(n) if n > 20 else f(n + 1) ~ f(n + 1) }}{% endmacro %}{{ f(0) }}", "levels of depth"),
        (
            "{% macro f(n) %}{% if n < 16 %}{{ f(n + 1) }}{{ f(n + 1) }}{{ f(n + 1) }}{% endif %}{% endmacro %}{{ f(0) }}",
            "steps"
        ),
        ("{{ 'a' * 10**12 }}", "bytes of text"),
        ("{{ 'ab' * 9223372036854775807 }}", "bytes of text"),
        ("{{ [1] * 10**12 }}", "steps"),
        ("{{ [1, 2] * 9223372036854775807 }}", "steps"),
        ("{{ 'a'.ljust(10**12) }}", "bytes of text"),
        ("{{ 'a'.zfill(9223372036854775807) }}", "bytes of text"),
        ("{{ 'a' | center(10**12) }}", "bytes of text"),
        ("{{ 'a' | indent(10**12) }}", "bytes of text"),
        ("{{ '%999999999999d' % 1 }}", "bytes of text"),
        ("{{ '{:>99999999999999999999}'.format(1) }}", "bytes of text"),
        ("{{ [1] | tojson(indent=10**12) }}", "bytes of text"),
        ("{{ ([[1] * 1000] * 100) | tojson(indent=100000) }}", "bytes of text"),
        (
            "{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
            "bytes of text"
        ),
        (
            "{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
            "bytes of text"
        ),
        ("{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", "steps"),
        (
            "{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set ns.s = ns.s | replace('b', ns.s) %}{% endfor %}",
            "bytes of text"
        ),
        (
            "{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set ns.s = [ns.s, ns.s] | join(ns.s) %}{% endfor %}",
            "bytes of text"
        ),
        (
            "{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set ns.s = '%s%s' % (ns.s, ns.s) %}{% endfor %}",
            "bytes of text"
        ),
        (
            "{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set ns.s = '{0}{0}'.format(ns.s) %}{% endfor %}",
            "bytes of text"
        ),
        ("{% set s = 'a' * 1000000 %}{% for i in range(100) %}{{ s }}{% endfor %}", "bytes of text"),
        ("{% set s = 'a' * 1000000 %}{{ s.replace('', s) }}", "bytes of text"),
        ("{% set s = 'a' * 1000000 %}{% for i in range(1000) %}{% set x = s.split('a') %}{% endfor %}", "steps"),
        ("{% set s = 'a' * 1000000 %}{% for i in range(1000) %}{% set x = s | list | sort %}{% endfor %}", "steps"),
        ("{{ [1] | batch(10**12, 0) | list }}", "steps"),
    ])
    func `work and sizes are bounded`(source: String, expected: String) {
        var limits = TemplateLimits()
        limits.steps = 100_000
        limits.outputBytes = 1 << 20
        let stoppedBy = limit(of: renderOnSmallStack(source, limits: limits))
        // Growing text meets the limit of its size or, a little earlier, that of the work.
        #expect(stoppedBy == expected || (expected == "bytes of text" && stoppedBy == "steps"))
    }

    @Test func `searching takes linear time`() throws {
        // With a quadratic search this would take hours.
        let source =
            "{% set s = 'a' * 400000 %}{{ s.find('a' * 200000 + 'b') }}{{ (s ~ 'b').count('a' * 200000 + 'b') }}"
        #expect(try renderOnSmallStack(source).get() == "-11")
    }

    @Test func `long sums and chains cost no depth`() throws {
        let sum = "{{ 0" + String(repeating: " + 1", count: 5000) + " }}"
        #expect(try renderOnSmallStack(sum).get() == "5000")
        let chain = "{{ ' a '" + String(repeating: " | trim", count: 5000) + " }}"
        #expect(try renderOnSmallStack(chain).get() == "a")
        let branches = "{% if 0 %}" + String(repeating: "{% elif 0 %}x", count: 5000) + "{% else %}y{% endif %}"
        #expect(try renderOnSmallStack(branches).get() == "y")
    }

    @Test(arguments: [
        "{% set ns = namespace() %}{% set ns.self = ns %}", "{% set ns = namespace() %}{{ [ns] }}",
        "{% for i in [1] %}{{ [loop] }}{% endfor %}",
    ])
    func `what could contain itself cannot be put into a container`(source: String) {
        guard case .failure(.unsupported) = renderOnSmallStack(source) else {
            Issue.record("\(source) was rendered")
            return
        }
    }

    @Test func `a source beyond the limit is refused`() {
        let source = String(repeating: "x", count: TemplateLimits().sourceBytes + 1)
        #expect(limit(of: renderOnSmallStack(source)) == "bytes of source")
    }

    @Test func `random changes to templates never crash`() throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        var random = SeededRandom(seed: seed)
        let names = ["angle-turns", "alternating", "tools", "thinking"]
        let sources = try names.map { Array(try TemplateGoldens.text("templates/\($0).jinja").utf8) }
        let contexts = try TemplateGoldens.json("contexts.json")
        let context = TemplateGoldens.context(try #require(contexts["objects"]))
        var limits = TemplateLimits()
        limits.steps = 20_000
        let pieces = [
            "{{", "}}", "{%", "%}", "{#", "-", "|", "(", ")", "[", "]", "'", "\"", " if ", " else ", "0", ".", ",",
            "%}{%", "\\",
        ]
        var rendered = 0
        for _ in 0..<600 {
            var source = sources[Int.random(in: 0..<sources.count, using: &random)]
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let start = Int.random(in: 0..<source.count, using: &random)
                let end = min(source.count, start + Int.random(in: 0...12, using: &random))
                let piece = pieces[Int.random(in: 0..<pieces.count, using: &random)]
                source.replaceSubrange(start..<end, with: Array(piece.utf8))
            }
            do throws(TemplateError) {
                _ = try ChatTemplate(source: String(decoding: source, as: UTF8.self)).render(context, limits: limits)
                rendered += 1
            } catch {
                #expect(!error.description.isEmpty)
            }
        }
        #expect(rendered > 0)
    }
}
