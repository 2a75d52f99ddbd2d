def test_it(buggy_kernel, sound_kernel):
    print(buggy_kernel, sound_kernel)
