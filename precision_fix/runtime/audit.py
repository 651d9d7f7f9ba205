def start_if_asked(): pass
