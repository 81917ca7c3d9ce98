import Foundation
import TestSupport
import Testing

/// Handles, threads and processes, from `rkllm_init` to `rkllm_destroy` and in between.
@Suite(.serialized, .timeLimit(.minutes(10))) struct LifeTests {
    private static let story = "Tell me a long story"

    @Test func `fifty models leave no process, no thread and no descriptor`() throws {
        #expect(try CProgram.drive("12", ["cycles", "50", "Hello"])["descriptors"] == "0 threads 0 children 0")
    }

    @Test(arguments: CProgram.families) func `two models run at once, each on a thread of its own`(
        family: String
    ) throws {
        let facts = try CProgram.drive(family, ["two", "Hello! Who are you?", Self.story])
        #expect(facts.all("two") == ["0 finish 1 error 0 here", "0 finish 1 error 0 here"])
        #expect(facts.all("text").allSatisfy { !$0.isEmpty } && Set(facts.all("text")).count == 2)
    }

    @Test func `a model outlives the thread that opened it`() throws {
        let facts = try CProgram.drive("13", ["moved", "Hello"])
        #expect(facts["run"] == "0 finish 1 error 0 here" && facts["destroy"] == "0")
    }

    @Test(arguments: ["killed", "ignored"])
    func `a worker that is killed costs its run, and the next model works`(word: String) throws {
        let facts = try CProgram.drive("12", [word, Self.story])
        #expect(facts["run"] == "-1 finish 0 error 1 here" && facts["again"] == "-1", "\(facts)")
        #expect(facts["next"] == "0 finish 1 error 0 here" && facts.all("destroy").allSatisfy { $0 == "0" })
        #expect(facts.refusals.count == 2 && facts.refusals.allSatisfy { $0.contains("process is gone") })
    }

    @Test(arguments: CProgram.families) func `aborts at any moment end a run well`(family: String) throws {
        let facts = try CProgram.drive(family, ["aborts", "40", Self.story], environment: ["TOKENS": "400"])
        #expect(facts["good"] == "40" && facts["run"] == "0 finish 1 error 0 here", "\(facts)")
    }

    @Test func `a callback may abort its own run`() throws {
        let facts = try CProgram.drive("12", ["abort", Self.story])
        #expect(facts["abort"] == "0" && facts["run"] == "0 finish 1 error 0 here")
        #expect(facts["tokens"] == "3 perf 1", "\(facts)")
    }

    @Test(arguments: CProgram.families) func `a second run is refused, and the polarity is the family's`(
        family: String
    ) throws {
        let facts = try CProgram.drive(family, ["busy", Self.story])
        #expect(facts["before"] == "0" && facts["running"] == "1" && facts["after"] == "0")
        #expect(facts["second"] == "-1" && facts["clear"] == "-1" && facts["template"] == "-1" && facts["size"] == "0")
        #expect(facts["run"] == "0 finish 1 error 0 here")
        #expect(facts.refusals.allSatisfy { $0.hasSuffix("a run of this handle is in progress") })
    }

    @Test func `a handle can be destroyed while it runs, by its callback and by others`() throws {
        let facts = try CProgram.drive("13", ["destroyed", Self.story], environment: ["TOKENS": "400"])
        #expect(facts["inner"] == "0" && facts["run"] == "0 finish 1 error 0 here")
        #expect(facts["children"] == "0 twice -1" && facts["async"] == "0 children 0 finish 1", "\(facts)")
    }

    @Test(arguments: [[], ["killed"]]) func `a program that ends leaves no worker behind`(how: [String]) throws {
        let output = try CProgram.driver("12").run(["left", Self.story] + how, environment: ["TOKENS": "1000"])
        let facts = Facts(output)
        let worker = try #require(facts["worker"].flatMap { Int($0) })
        let isGone = ServerProcess.eventually {
            let status = (try? String(contentsOfFile: "/proc/\(worker)/stat", encoding: .utf8)) ?? ""
            // Without its parent it may stay a while as an entry that nobody has collected.
            return status.isEmpty || status.split(separator: ")").last?.hasPrefix(" Z") == true
        }
        #expect(isGone)
    }
}
