import JSON
import Testing

@testable import ChatTemplates

@Suite struct TemplateErrorTests {
    @Test(arguments: [
        ("a\nb{% include 'x' %}", TemplateError.unsupported(construct: "the tag 'include'", line: 2)),
        ("{% for x in [] recursive %}{% endfor %}", .unsupported(construct: "a recursive loop", line: 1)),
        ("\n\n{{ 1 | groupby }}", .unsupported(construct: "the filter 'groupby'", line: 3)),
        ("{{ 1 is\nnever }}", .unsupported(construct: "the test 'never'", line: 1)),
        ("{{ lipsum() }}", .unsupported(construct: "the function 'lipsum'", line: 1)),
        ("{{ 'a'.encode() }}", .unsupported(construct: "the function 'encode'", line: 1)),
        ("{{ [].append(1) }}", .unsupported(construct: "'append', which changes a list,", line: 1)),
        ("{{ strftime_now('%Q') }}", .unsupported(construct: "a directive of strftime_now", line: 1)),
        ("{% if 1 %}\n{{ raise_exception('No system role') }}{% endif %}", .raised(message: "No system role")),
        ("{{ 1 +\n }}", .syntax(line: 2, message: "unexpected '}}'")),
        ("x\n{% if a %}", .syntax(line: 2, message: "a block does not end: expected 'elif' or 'else' or 'endif'")),
        ("{{ a.b.c }}", .type(line: 1, message: "'b' is undefined")),
        ("{{ 1\n + 'a' }}", .type(line: 1, message: "int and str cannot be added")),
    ])
    func `errors name the construct and the line`(source: String, expected: TemplateError) throws {
        let context = TemplateContext(
            messages: .array([]), variables: JSONObject(uniqueMembers: [.init(key: "a", value: .object(JSONObject()))]),
            now: TemplateGoldens.now)
        let error = #expect(throws: TemplateError.self) { try ChatTemplate(source: source).render(context) }
        #expect(error == expected)
        #expect(error?.description.isEmpty == false)
    }

    @Test func `tools are None without tools, and variables are defined`() throws {
        #expect(try render("{{ tools }} {{ documents }} {{ messages }} {{ x is defined }}") == "None None [] False")
        let variables = JSONObject(uniqueMembers: [
            .init(key: "x", value: .bool(true)), .init(key: "bos_token", value: .string("<b>")),
            .init(key: "messages", value: .string("ignored")),
        ])
        #expect(try render("{{ x }} {{ bos_token }} {{ messages }}", variables: variables) == "True <b> []")
    }
}

@Suite struct TemplateTimeTests {
    @Test(
        arguments: [
            (0, "1970-01-01 00:00:00 Thu 001"), (951_782_400, "2000-02-29 00:00:00 Tue 060"),
            (1_721_984_703, "2024-07-26 09:05:03 Fri 208"), (-1, "1969-12-31 23:59:59 Wed 365"),
            (4_102_444_799, "2099-12-31 23:59:59 Thu 365"), (.max, "9999-12-31 23:59:59 Fri 365"),
            (.min, "1-01-01 00:00:00 Mon 001"),
        ] as [(Int64, String)])
    func `dates follow the calendar`(seconds: Int64, expected: String) {
        #expect(TemplateTime(unixSeconds: seconds).formatted("%Y-%m-%d %H:%M:%S %a %j").text == expected)
    }

    @Test func `an offset moves the clock`() {
        let time = TemplateTime(unixSeconds: 1_721_984_703, utcOffsetSeconds: 16 * 3600)
        #expect(time.formatted("%d %B %Y %I:%M %p %-d").text == "27 July 2024 01:05 AM 27")
    }
}

@Suite struct PythonNumberTests {
    @Test(arguments: [
        (0.5, 0, "0"), (1.5, 0, "2"), (2.5, 0, "2"), (2.675, 2, "2.67"), (0.125, 2, "0.12"), (9.995, 2, "9.99"),
        (999.9996, 3, "1000.000"), (0.05, 1, "0.1"), (-0.4, 0, "-0"), (1e22, 1, "10000000000000000000000.0"),
        (.leastNonzeroMagnitude, 3, "0.000"), (0, 2, "0.00"), (0.00099, 3, "0.001"), (123.456, 1, "123.5"),
    ])
    func `fixed decimals are rounded on the exact value`(value: Double, decimals: Int, expected: String) {
        #expect(PythonNumber.fixed(value, decimals: decimals) == expected)
    }
}
