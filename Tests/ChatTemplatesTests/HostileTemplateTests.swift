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

    @Test func `stack probe`() throws {
        for depth in [150, 200, 250, 300, 350, 400, 450, 500, 600, 700, 800, 1000, 1500] {
            var limits = TemplateLimits()
            limits.depth = depth
            limits.valueDepth = 100_000
            FileHandle.standardError.write(Data("depth \(depth) macro\n".utf8))
            _ = renderOnSmallStack(
                "{% macro f(n) %}{% for i in [1] %}{% if true %}{% set x = [1 + (f(n + 1) | length)] | first %}{% endif %}{% endfor %}{% endmacro %}{{ f(1) }}",
                limits: limits)
        }
    }
}
