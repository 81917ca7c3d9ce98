import EngineProtocol
import TestSupport
import Testing

@testable import RKLLMEngine

@Suite struct DetectionTests {
    private static let releases: [(Int, RuntimeFamily)] = [
        (110, .release11), (120, .release120), (121, .release12), (130, .release13),
    ]

    @Test(arguments: releases) func `a library shows which release it is`(family: Int, release: RuntimeFamily) throws {
        let harness = try RuntimeHarness(family, "say x")
        #expect(harness.engine.family == release)
        let path = try FakeRuntime.model("say x")
        let told = try RuntimeHarness.load(try FakeRuntime.library(family), path: path, family: release)
        #expect(told.family == release)
        told.stop()
    }

    @Test(arguments: [(121, "1.3.0"), (130, "1.2.3"), (120, "1.2.1"), (110, "1.2.0")])
    func `a library whose witnesses disagree is refused in words`(family: Int, banner: String) throws {
        let library = try FakeRuntime.library(family, banner: banner)
        let path = try FakeRuntime.model("say x")
        #expect { try RuntimeHarness.load(library, path: path) } throws: { error in
            guard case .invalidRequest("rkllm_runtime", let message)? = error as? EngineError else { return false }
            return message.contains("it is not certain which release it is") && message.contains("its banner says 1.")
        }
    }

    @Test func `a configured release that the library is not is refused`() throws {
        let library = try FakeRuntime.library(130)
        let path = try FakeRuntime.model("say x")
        #expect { try RuntimeHarness.load(library, path: path, family: .release12) } throws: { error in
            guard case .invalidRequest("rkllm_runtime", let message)? = error as? EngineError else { return false }
            return message.contains("the configuration says 1.2, its banner says 1.3")
        }
    }

    @Test func `what is no runtime is refused`() throws {
        let path = try FakeRuntime.model("say x")
        for (library, words) in [("/nowhere/librkllmrt.so", "cannot be loaded"), ("libc.so.6", "lacks functions")] {
            #expect { try RuntimeHarness.load(library, path: path) } throws: { error in
                guard case .invalidRequest("rkllm_runtime", let message)? = error as? EngineError else { return false }
                return message.contains(words)
            }
        }
    }

    @Test func `one witness is enough only if it leaves one family`() {
        var evidence = FamilyEvidence()
        #expect(evidence.family == .release11)
        evidence.exportsClearing = true
        #expect(evidence.family == .release120)
        evidence.exportsCacheSizes = true
        #expect(evidence.family == nil)
        evidence.bannerVersion = 1_02_02
        #expect(evidence.family == .release12)
        evidence.configured = .release13
        #expect(evidence.family == nil)
        evidence.bannerVersion = 0
        #expect(evidence.family == .release13)
        // A release that nobody knows yet is no witness.
        evidence.bannerVersion = 2_00_00
        #expect(evidence.family == .release13)
    }

    @Test func `default parameters that could be two families' say nothing`() {
        var evidence = FamilyEvidence(exportsClearing: true, exportsCacheSizes: true)
        evidence.defaults = [UInt8](repeating: 0, count: 512)
        #expect(evidence.family == nil)
        (evidence.defaults[65], evidence.defaults[72]) = (4, 1)
        #expect(evidence.family == .release13)
        (evidence.defaults[93], evidence.defaults[100]) = (4, 1)
        #expect(evidence.family == nil)
        (evidence.defaults[65], evidence.defaults[72]) = (0, 0)
        #expect(evidence.family == .release12)
    }
}
