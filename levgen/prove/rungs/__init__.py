"""The rungs of the ladder, one a file: functions of the bench that return an outcome."""
