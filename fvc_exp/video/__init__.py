"""Video files: probing, exact selective decoding, and writing. The only code that knows PyAV."""
